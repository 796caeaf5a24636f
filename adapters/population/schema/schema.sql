-- Reference database of the population register (CSDL quốc gia về dân cư). PostgreSQL dialect; text is Unicode.
-- Column names are those of the lookup service TraCuuThongTinCongDan; nested parts carry their parent as a prefix.

-- Công dân.
CREATE TABLE "cong_dan" (
  "id"                            BIGINT PRIMARY KEY, -- số thứ tự bản ghi
  "SoDinhDanh"                    VARCHAR(12),        -- số định danh cá nhân; trống: chưa được cấp
  "SoCMND"                        VARCHAR(9),         -- số CMND cũ; trống: không có
  "Ho"                            VARCHAR(40),        -- họ; người Tây Nguyên có thể để trống
  "ChuDem"                        VARCHAR(60),        -- chữ đệm; trống: không có
  "Ten"                           VARCHAR(40),        -- tên
  "HoTenKhongDau"                 VARCHAR(140),       -- họ tên viết hoa, không dấu: khóa tìm kiếm do cơ sở dữ liệu tự lập
  "GioiTinh"                      SMALLINT,           -- 1 nam, 2 nữ; trống: chưa rõ
  "DanToc"                        CHAR(2),            -- mã dân tộc hai chữ số
  "TonGiao"                       CHAR(2),            -- mã tôn giáo hai chữ số; 99 không theo tôn giáo
  "QuocTich"                      CHAR(2),            -- quốc tịch ISO 3166-1 alpha-2
  "TinhTrangHonNhan"              SMALLINT,           -- 0 chưa rõ, 1 chưa kết hôn, 2 có vợ hoặc chồng, 3 ly hôn, 4 góa
  "NhomMau"                       CHAR(2),            -- 00 chưa rõ, 01 A, 02 B, 03 AB, 04 O
  "NgaySinh"                      VARCHAR(8),         -- ngày sinh yyyyMMdd; trống khi chỉ biết năm
  "NamSinh"                       VARCHAR(4),         -- năm sinh yyyy; chỉ khi không biết ngày
  "NoiDangKyKhaiSinh_MaTinhThanh" VARCHAR(2),         -- nơi đăng ký khai sinh: mã tỉnh
  "NoiDangKyKhaiSinh_MaQuanHuyen" VARCHAR(3),         -- nơi đăng ký khai sinh: mã huyện; trống sau 01/07/2025
  "NoiDangKyKhaiSinh_MaPhuongXa"  VARCHAR(5),         -- nơi đăng ký khai sinh: mã xã, cũ hoặc mới
  "NoiDangKyKhaiSinh_ChiTiet"     VARCHAR(250),       -- nơi đăng ký khai sinh: địa chỉ
  "NoiDangKyKhaiSinh_QuocGia"     CHAR(2),            -- nơi đăng ký khai sinh: quốc gia
  "QueQuan_MaTinhThanh"           VARCHAR(2),         -- quê quán: mã tỉnh
  "QueQuan_MaQuanHuyen"           VARCHAR(3),         -- quê quán: mã huyện; trống sau 01/07/2025
  "QueQuan_MaPhuongXa"            VARCHAR(5),         -- quê quán: mã xã, cũ hoặc mới
  "QueQuan_ChiTiet"               VARCHAR(250),       -- quê quán: địa chỉ
  "QueQuan_QuocGia"               CHAR(2),            -- quê quán: quốc gia
  "ThuongTru_MaTinhThanh"         VARCHAR(2),         -- nơi thường trú: mã tỉnh
  "ThuongTru_MaQuanHuyen"         VARCHAR(3),         -- nơi thường trú: mã huyện; trống sau 01/07/2025
  "ThuongTru_MaPhuongXa"          VARCHAR(5),         -- nơi thường trú: mã xã, cũ hoặc mới
  "ThuongTru_ChiTiet"             VARCHAR(250),       -- nơi thường trú: địa chỉ
  "ThuongTru_QuocGia"             CHAR(2),            -- nơi thường trú: quốc gia
  "NoiOHienTai_MaTinhThanh"       VARCHAR(2),         -- nơi ở hiện tại: mã tỉnh
  "NoiOHienTai_MaQuanHuyen"       VARCHAR(3),         -- nơi ở hiện tại: mã huyện; trống sau 01/07/2025
  "NoiOHienTai_MaPhuongXa"        VARCHAR(5),         -- nơi ở hiện tại: mã xã, cũ hoặc mới
  "NoiOHienTai_ChiTiet"           VARCHAR(250),       -- nơi ở hiện tại: địa chỉ
  "NoiOHienTai_QuocGia"           CHAR(2),            -- nơi ở hiện tại: quốc gia
  "Cha_HoVaTen"                   VARCHAR(100),       -- cha: họ và tên
  "Cha_SoDinhDanh"                VARCHAR(12),        -- cha: số định danh
  "Cha_SoCMND"                    VARCHAR(9),         -- cha: số CMND
  "Cha_QuocTich"                  CHAR(2),            -- cha: quốc tịch
  "Me_HoVaTen"                    VARCHAR(100),       -- mẹ: họ và tên
  "Me_SoDinhDanh"                 VARCHAR(12),        -- mẹ: số định danh
  "Me_SoCMND"                     VARCHAR(9),         -- mẹ: số CMND
  "Me_QuocTich"                   CHAR(2),            -- mẹ: quốc tịch
  "VoChong_HoVaTen"               VARCHAR(100),       -- vợ hoặc chồng: họ và tên
  "VoChong_SoDinhDanh"            VARCHAR(12),        -- vợ hoặc chồng: số định danh
  "VoChong_SoCMND"                VARCHAR(9),         -- vợ hoặc chồng: số CMND
  "VoChong_QuocTich"              CHAR(2),            -- vợ hoặc chồng: quốc tịch
  "ChuHo_HoVaTen"                 VARCHAR(100),       -- chủ hộ: họ và tên
  "ChuHo_SoDinhDanh"              VARCHAR(12),        -- chủ hộ: số định danh
  "ChuHo_QuanHe"                  SMALLINT,           -- quan hệ với chủ hộ: 1 chủ hộ, 2 vợ hoặc chồng, 3 con, 4 cha hoặc mẹ, 9 khác
  "SoSoHoKhau"                    VARCHAR(12),        -- số sổ hộ khẩu
  "DaChet"                        BOOLEAN NOT NULL,   -- đã chết
  "NgayCapNhat"                   TIMESTAMP NOT NULL  -- thời điểm cập nhật
);

CREATE INDEX "ix_cong_dan_SoDinhDanh" ON "cong_dan" ("SoDinhDanh");
CREATE INDEX "ix_cong_dan_SoCMND" ON "cong_dan" ("SoCMND");
CREATE INDEX "ix_cong_dan_HoTenKhongDau" ON "cong_dan" ("HoTenKhongDau");
