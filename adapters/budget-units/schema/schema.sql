-- Reference database of budget-unit codes (mã số đơn vị có quan hệ với ngân sách). PostgreSQL dialect; text is Unicode.

-- Đơn vị có quan hệ với ngân sách.
CREATE TABLE "don_vi" (
  "ma_qhns"                 VARCHAR(7) PRIMARY KEY, -- mã số ĐVQHNS
  "ten_don_vi"              VARCHAR(250),           -- tên đơn vị
  "loai"                    SMALLINT,               -- 1 đơn vị dự toán, 2 đơn vị sử dụng ngân sách, 7 dự án đầu tư, 3 đơn vị khác
  "ma_cap_tren"             CHAR(10),               -- mã đơn vị cấp trên, có đệm dấu cách; trống: không có
  "cap_ngan_sach"           SMALLINT,               -- 1 trung ương, 2 tỉnh, 3 huyện (đã hết), 4 xã
  "ma_chuong"               CHAR(3),                -- mã chương
  "so_quyet_dinh"           VARCHAR(40),            -- số quyết định cấp mã
  "ngay_quyet_dinh"         DATE,                   -- ngày quyết định
  "co_quan_tai_chinh"       VARCHAR(250),           -- cơ quan tài chính cấp mã
  "dia_chi"                 VARCHAR(250),           -- địa chỉ
  "ma_xa"                   VARCHAR(5),             -- mã xã
  "ma_tinh"                 VARCHAR(2),             -- mã tỉnh
  "kho_bac"                 VARCHAR(250),           -- kho bạc nơi giao dịch
  "thu_truong"              VARCHAR(100),           -- thủ trưởng
  "thu_truong_so_dinh_danh" VARCHAR(12),            -- số định danh thủ trưởng
  "trang_thai"              CHAR(1),                -- A hoạt động, C đã đóng
  "hieu_luc_tu"             DATE,                   -- hiệu lực từ
  "hieu_luc_den"            DATE,                   -- hiệu lực đến; trống: không thời hạn
  "ngay_cap_nhat"           TIMESTAMP NOT NULL      -- thời điểm cập nhật
);

CREATE INDEX "ix_don_vi_thu_truong_so_dinh_danh" ON "don_vi" ("thu_truong_so_dinh_danh");
