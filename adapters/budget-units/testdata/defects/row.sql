INSERT INTO "don_vi" ("ma_qhns", "ten_don_vi", "loai", "ma_cap_tren", "trang_thai", "ngay_quyet_dinh", "ngay_cap_nhat") VALUES ('2000005', '  ', 9, '12345', 'Z', '0999-01-01', '2026-03-01 08:30:00');
