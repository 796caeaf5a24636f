CREATE TABLE dm_loaihinh (ma_lh INT PRIMARY KEY, ten_lh VARCHAR(100));
INSERT INTO dm_loaihinh VALUES (1, 'Doanh nghiệp tư nhân'), (2, 'Công ty cổ phần'), (3, 'Công ty TNHH một thành viên');
CREATE TABLE dn_thongtin (dn_id INT PRIMARY KEY, dn_mst VARCHAR(14), dn_ten VARCHAR(300), dn_tenvt VARCHAR(100), dn_tenta VARCHAR(300), dn_lhdn INT, dn_ngaytl VARCHAR(10), dn_vdl DECIMAL(21,3), dn_diachi VARCHAR(300), dn_maxa VARCHAR(5), dn_matinh VARCHAR(2), dn_ndd VARCHAR(100), dn_ndd_cccd VARCHAR(12), dn_ngaycapnhat TIMESTAMP NULL, FOREIGN KEY (dn_lhdn) REFERENCES dm_loaihinh (ma_lh));
CREATE INDEX ix_mst ON dn_thongtin (dn_mst);
INSERT INTO dn_thongtin VALUES (1, '4101000003', 'Công ty cổ phần Hải Âu', 'HAI AU JSC', NULL, 2, '05/03/2012', 15000000000, '1 Trần Phú, Quy Nhơn', '21583', '52', 'Lê Thị Hoa', '052185000123', '2025-05-01 10:00:00'), (2, '5900123451', 'DNTN Sông Ba', '', NULL, 1, '17/11/2003', 2000000000, '2 Hùng Vương, Pleiku', '23557', '64', 'Rơ Châm H''Yến', '064185000001', '2024-05-01 10:00:00'), (3, '0100233488', 'Công ty TNHH MTV Vôi', '', NULL, 3, '09/12/1999', 1500, '9 Bạch Đằng', '21553', '52', 'Trần An', '052085000124', '2023-01-01 00:00:00');
CREATE TABLE dn_nganhnghe (id INT PRIMARY KEY, dn_id INT, manganh VARCHAR(5), nganhchinh SMALLINT, FOREIGN KEY (dn_id) REFERENCES dn_thongtin (dn_id));
CREATE INDEX ix_dn ON dn_nganhnghe (dn_id);
INSERT INTO dn_nganhnghe VALUES (1, 1, '46900', 1), (2, 1, '56101', 0), (3, 2, '41000', 1);
CREATE TABLE nhatky (id INT PRIMARY KEY, noidung VARCHAR(200));
