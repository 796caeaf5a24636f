-- Reference database of social and health insurance (BHXH, BHYT). PostgreSQL dialect; text is Unicode.
-- "ngaySinh" is yyyyMMdd padded with 01; "loaiNgaySinh" says what of it is known: 0 all, 1 year only, 2 year and month.
-- Gender: 1 nam, 2 nữ, 3 khác. Commune codes are old or new; "maHuyenKs" is empty on new ones.

-- Người tham gia.
CREATE TABLE "nguoi_tham_gia" (
  "id"           BIGINT PRIMARY KEY,   -- số thứ tự
  "maSoBhxh"     VARCHAR(10) NOT NULL, -- mã số BHXH
  "soDinhDanh"   VARCHAR(12),          -- số định danh; trống: chưa đối chiếu
  "cmnd"         VARCHAR(9),           -- số CMND
  "hoTen"        VARCHAR(100),         -- họ và tên
  "ngaySinh"     VARCHAR(8),           -- ngày sinh
  "loaiNgaySinh" SMALLINT,             -- 0 đủ, 1 chỉ năm, 2 năm và tháng
  "gioiTinh"     SMALLINT,             -- giới tính
  "danToc"       VARCHAR(2),           -- mã dân tộc hai chữ số
  "maTinhKs"     VARCHAR(2),           -- mã tỉnh
  "maHuyenKs"    VARCHAR(3),           -- mã huyện
  "maXaKs"       VARCHAR(5),           -- mã xã
  "diaChi"       VARCHAR(250),         -- địa chỉ
  "maHo"         VARCHAR(12),          -- mã hộ gia đình
  "trangThai"    SMALLINT,             -- 1 đang tham gia, 2 tạm dừng, 3 đã dừng, 4 hưởng lương hưu
  "ngayCapNhat"  TIMESTAMP NOT NULL    -- thời điểm cập nhật
);

-- Quá trình tham gia.
CREATE TABLE "qua_trinh_tham_gia" (
  "id"         BIGINT PRIMARY KEY,   -- số thứ tự
  "maSoBhxh"   VARCHAR(10) NOT NULL, -- mã số BHXH
  "stt"        SMALLINT NOT NULL,    -- thứ tự, cũ trước
  "tuThang"    VARCHAR(7),           -- từ tháng mm/yyyy
  "denThang"   VARCHAR(7),           -- đến tháng mm/yyyy; trống: đến nay
  "tenDonVi"   VARCHAR(250),         -- đơn vị; trống: tự đóng
  "maDonVi"    VARCHAR(14),          -- mã số doanh nghiệp hoặc mã ĐVQHNS; trống: tự đóng
  "chucDanh"   VARCHAR(100),         -- chức danh
  "mucThuNhap" BIGINT,               -- mức thu nhập đóng, đồng
  "tyLeDong"   DECIMAL(5,2),         -- tỷ lệ đóng, phần trăm
  "loai"       SMALLINT              -- 1 bắt buộc, 2 tự nguyện, 3 thất nghiệp, 4 y tế
);

-- Thẻ bảo hiểm y tế.
CREATE TABLE "the_bhyt" (
  "id"           BIGINT PRIMARY KEY,   -- số thứ tự
  "maThe"        VARCHAR(15) NOT NULL, -- mã thẻ: 15 ký tự cũ hoặc 10 số mới
  "maSoBHXH"     VARCHAR(10),          -- mã số BHXH
  "soDinhDanh"   VARCHAR(12),          -- số định danh; trống: chưa đối chiếu
  "hoTen"        VARCHAR(100),         -- họ và tên
  "ngaySinh"     VARCHAR(8),           -- ngày sinh
  "loaiNgaySinh" SMALLINT,             -- 0 đủ, 1 chỉ năm, 2 năm và tháng
  "gioiTinh"     SMALLINT,             -- giới tính
  "diaChi"       VARCHAR(250),         -- địa chỉ
  "maTinh"       VARCHAR(2),           -- mã tỉnh
  "maHuyen"      VARCHAR(3),           -- mã huyện
  "maXa"         VARCHAR(5),           -- mã xã
  "maDKBD"       VARCHAR(5),           -- mã nơi đăng ký khám chữa bệnh ban đầu
  "tenDKBD"      VARCHAR(250),         -- nơi đăng ký khám chữa bệnh ban đầu
  "gtTheTu"      VARCHAR(10),          -- giá trị từ dd/MM/yyyy
  "gtTheDen"     VARCHAR(10),          -- giá trị đến dd/MM/yyyy
  "maKV"         VARCHAR(2),           -- mã khu vực K1, K2, K3; trống: không có
  "ngayDu5Nam"   VARCHAR(10),          -- ngày đủ 5 năm liên tục dd/MM/yyyy; trống: chưa đủ
  "maTheCu"      VARCHAR(15),          -- mã thẻ cũ
  "ngayCapNhat"  TIMESTAMP NOT NULL    -- thời điểm cập nhật
);

CREATE INDEX "ix_nguoi_tham_gia_maSoBhxh" ON "nguoi_tham_gia" ("maSoBhxh");
CREATE INDEX "ix_nguoi_tham_gia_soDinhDanh" ON "nguoi_tham_gia" ("soDinhDanh");
CREATE INDEX "ix_nguoi_tham_gia_cmnd" ON "nguoi_tham_gia" ("cmnd");
CREATE INDEX "ix_qua_trinh_tham_gia_maSoBhxh" ON "qua_trinh_tham_gia" ("maSoBhxh");
CREATE INDEX "ix_the_bhyt_maSoBHXH" ON "the_bhyt" ("maSoBHXH");
CREATE INDEX "ix_the_bhyt_soDinhDanh" ON "the_bhyt" ("soDinhDanh");
