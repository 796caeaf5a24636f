-- Reference database of civil status (CSDL hộ tịch). PostgreSQL dialect.
-- Rows imported from the old offices hold VNI bytes kept as Latin-1 characters in every text column; "bangMa" says so.
-- Dates are text: dd.MM.yyyy, MM.yyyy or yyyy. Ethnicity and nationality are written by name.
-- Documents: 1 CMND, 2 hộ chiếu, 3 thẻ cư trú, 4 CCCD, 5 quân đội, 6 công an, 7 lực lượng khác, 8 khác. Gender: 1 nam, 2 nữ, 3 chưa xác định.

-- Khai sinh.
CREATE TABLE "khai_sinh" (
  "id"                      BIGINT PRIMARY KEY,  -- số thứ tự bản ghi
  "bangMa"                  VARCHAR(8) NOT NULL, -- UNICODE hoặc VNI
  "so"                      VARCHAR(20),         -- số đăng ký, ví dụ 125/2019
  "quyenSo"                 VARCHAR(20),         -- quyển số
  "trangSo"                 VARCHAR(10),         -- trang số
  "ngayDangKy"              VARCHAR(10),         -- ngày đăng ký
  "loaiDangKy"              SMALLINT,            -- 1 đúng hạn, 2 đăng ký lại, 3 ghi vào sổ việc ở nước ngoài, 4 quá hạn, 0 không có
  "noiDangKy"               VARCHAR(250),        -- nơi đăng ký
  "nguoiKy"                 VARCHAR(100),        -- người ký
  "chucVuNguoiKy"           VARCHAR(100),        -- chức vụ người ký
  "nguoiThucHien"           VARCHAR(100),        -- người thực hiện
  "ghiChu"                  VARCHAR(250),        -- ghi chú
  "soDinhDanh"              VARCHAR(12),         -- số định danh cấp cho trẻ
  "nksHoTen"                VARCHAR(100),        -- người được khai sinh: họ và tên
  "nksGioiTinh"             SMALLINT,            -- giới tính
  "nksNgaySinh"             VARCHAR(10),         -- ngày sinh
  "nksNgaySinhBangChu"      VARCHAR(250),        -- ngày sinh bằng chữ
  "nksNoiSinh"              VARCHAR(250),        -- nơi sinh
  "nksNoiSinhDVHC"          VARCHAR(5),          -- mã xã nơi sinh
  "nksQueQuan"              VARCHAR(250),        -- quê quán
  "nksQueQuanDVHC"          VARCHAR(5),          -- mã xã quê quán
  "nksDanToc"               VARCHAR(100),        -- dân tộc
  "nksQuocTich"             VARCHAR(100),        -- quốc tịch
  "nksLoaiKhaiSinh"         SMALLINT,            -- 1 biết cha và mẹ, 2 không rõ mẹ, 3 không rõ cha, 4 không rõ cha mẹ, 5 trẻ bị bỏ rơi
  "maGCS"                   VARCHAR(30),         -- số giấy chứng sinh
  "ngayCapGCS"              VARCHAR(10),         -- ngày cấp giấy chứng sinh
  "meHoTen"                 VARCHAR(100),        -- mẹ: họ và tên
  "meNgaySinh"              VARCHAR(10),         -- mẹ: ngày sinh
  "meDanToc"                VARCHAR(100),        -- mẹ: dân tộc
  "meQuocTich"              VARCHAR(100),        -- mẹ: quốc tịch
  "meLoaiCuTru"             SMALLINT,            -- mẹ: 1 thường trú, 2 tạm trú
  "meNoiCuTru"              VARCHAR(250),        -- mẹ: nơi cư trú
  "meNoiCuTruDVHC"          VARCHAR(5),          -- mẹ: mã xã nơi cư trú
  "meLoaiGiayToTuyThan"     SMALLINT,            -- mẹ: loại giấy tờ
  "meSoGiayToTuyThan"       VARCHAR(20),         -- mẹ: số giấy tờ
  "meNgayCapGiayToTuyThan"  VARCHAR(10),         -- mẹ: ngày cấp
  "meNoiCapGiayToTuyThan"   VARCHAR(250),        -- mẹ: nơi cấp
  "meSoDDCN"                VARCHAR(12),         -- mẹ: số định danh
  "chaHoTen"                VARCHAR(100),        -- cha: họ và tên
  "chaNgaySinh"             VARCHAR(10),         -- cha: ngày sinh
  "chaDanToc"               VARCHAR(100),        -- cha: dân tộc
  "chaQuocTich"             VARCHAR(100),        -- cha: quốc tịch
  "chaLoaiCuTru"            SMALLINT,            -- cha: 1 thường trú, 2 tạm trú
  "chaNoiCuTru"             VARCHAR(250),        -- cha: nơi cư trú
  "chaNoiCuTruDVHC"         VARCHAR(5),          -- cha: mã xã nơi cư trú
  "chaLoaiGiayToTuyThan"    SMALLINT,            -- cha: loại giấy tờ
  "chaSoGiayToTuyThan"      VARCHAR(20),         -- cha: số giấy tờ
  "chaNgayCapGiayToTuyThan" VARCHAR(10),         -- cha: ngày cấp
  "chaNoiCapGiayToTuyThan"  VARCHAR(250),        -- cha: nơi cấp
  "chaSoDDCN"               VARCHAR(12),         -- cha: số định danh
  "nycHoTen"                VARCHAR(100),        -- người yêu cầu: họ và tên
  "nycQuanHe"               VARCHAR(100),        -- người yêu cầu: quan hệ
  "nycLoaiGiayToTuyThan"    SMALLINT,            -- người yêu cầu: loại giấy tờ
  "nycSoGiayToTuyThan"      VARCHAR(20),         -- người yêu cầu: số giấy tờ
  "nycNgayCapGiayToTuyThan" VARCHAR(10),         -- người yêu cầu: ngày cấp
  "nycNoiCapGiayToTuyThan"  VARCHAR(250),        -- người yêu cầu: nơi cấp
  "ngayCapNhat"             TIMESTAMP NOT NULL   -- thời điểm cập nhật
);

-- Kết hôn.
CREATE TABLE "ket_hon" (
  "id"                        BIGINT PRIMARY KEY,  -- số thứ tự bản ghi
  "bangMa"                    VARCHAR(8) NOT NULL, -- UNICODE hoặc VNI
  "so"                        VARCHAR(20),         -- số đăng ký, ví dụ 125/2019
  "quyenSo"                   VARCHAR(20),         -- quyển số
  "trangSo"                   VARCHAR(10),         -- trang số
  "ngayDangKy"                VARCHAR(10),         -- ngày đăng ký
  "loaiDangKy"                SMALLINT,            -- 1 lần đầu, 2 đăng ký lại
  "noiDangKy"                 VARCHAR(250),        -- nơi đăng ký
  "nguoiKy"                   VARCHAR(100),        -- người ký
  "chucVuNguoiKy"             VARCHAR(100),        -- chức vụ người ký
  "nguoiThucHien"             VARCHAR(100),        -- người thực hiện
  "ghiChu"                    VARCHAR(250),        -- ghi chú
  "chongHoTen"                VARCHAR(100),        -- chồng: họ và tên
  "chongNgaySinh"             VARCHAR(10),         -- chồng: ngày sinh
  "chongDanToc"               VARCHAR(100),        -- chồng: dân tộc
  "chongQuocTich"             VARCHAR(100),        -- chồng: quốc tịch
  "chongLoaiCuTru"            SMALLINT,            -- chồng: 1 thường trú, 2 tạm trú
  "chongNoiCuTru"             VARCHAR(250),        -- chồng: nơi cư trú
  "chongNoiCuTruDVHC"         VARCHAR(5),          -- chồng: mã xã nơi cư trú
  "chongLoaiGiayToTuyThan"    SMALLINT,            -- chồng: loại giấy tờ
  "chongSoGiayToTuyThan"      VARCHAR(20),         -- chồng: số giấy tờ
  "chongNgayCapGiayToTuyThan" VARCHAR(10),         -- chồng: ngày cấp
  "chongNoiCapGiayToTuyThan"  VARCHAR(250),        -- chồng: nơi cấp
  "chongSoDDCN"               VARCHAR(12),         -- chồng: số định danh
  "chongSoLanKH"              SMALLINT,            -- chồng: kết hôn lần thứ
  "voHoTen"                   VARCHAR(100),        -- vợ: họ và tên
  "voNgaySinh"                VARCHAR(10),         -- vợ: ngày sinh
  "voDanToc"                  VARCHAR(100),        -- vợ: dân tộc
  "voQuocTich"                VARCHAR(100),        -- vợ: quốc tịch
  "voLoaiCuTru"               SMALLINT,            -- vợ: 1 thường trú, 2 tạm trú
  "voNoiCuTru"                VARCHAR(250),        -- vợ: nơi cư trú
  "voNoiCuTruDVHC"            VARCHAR(5),          -- vợ: mã xã nơi cư trú
  "voLoaiGiayToTuyThan"       SMALLINT,            -- vợ: loại giấy tờ
  "voSoGiayToTuyThan"         VARCHAR(20),         -- vợ: số giấy tờ
  "voNgayCapGiayToTuyThan"    VARCHAR(10),         -- vợ: ngày cấp
  "voNoiCapGiayToTuyThan"     VARCHAR(250),        -- vợ: nơi cấp
  "voSoDDCN"                  VARCHAR(12),         -- vợ: số định danh
  "voSoLanKH"                 SMALLINT,            -- vợ: kết hôn lần thứ
  "ngayXacLapQuanHeHonNhan"   VARCHAR(10),         -- ngày xác lập quan hệ hôn nhân
  "tinhTrangKetHon"           SMALLINT,            -- 1 có hiệu lực, 2 đã ly hôn, 3 bị hủy, 4 công nhận việc kết hôn ở nước ngoài
  "ngayCapNhat"               TIMESTAMP NOT NULL   -- thời điểm cập nhật
);

-- Khai tử.
CREATE TABLE "khai_tu" (
  "id"                      BIGINT PRIMARY KEY,  -- số thứ tự bản ghi
  "bangMa"                  VARCHAR(8) NOT NULL, -- UNICODE hoặc VNI
  "so"                      VARCHAR(20),         -- số đăng ký, ví dụ 125/2019
  "quyenSo"                 VARCHAR(20),         -- quyển số
  "trangSo"                 VARCHAR(10),         -- trang số
  "ngayDangKy"              VARCHAR(10),         -- ngày đăng ký
  "loaiDangKy"              SMALLINT,            -- 1 đúng hạn, 2 đăng ký lại, 3 ghi vào sổ việc ở nước ngoài, 4 quá hạn, 0 không có
  "noiDangKy"               VARCHAR(250),        -- nơi đăng ký
  "nguoiKy"                 VARCHAR(100),        -- người ký
  "chucVuNguoiKy"           VARCHAR(100),        -- chức vụ người ký
  "nguoiThucHien"           VARCHAR(100),        -- người thực hiện
  "ghiChu"                  VARCHAR(250),        -- ghi chú
  "nktSoDDCN"               VARCHAR(12),         -- số định danh
  "nktHoTen"                VARCHAR(100),        -- họ và tên
  "nktGioiTinh"             SMALLINT,            -- giới tính
  "nktNgaySinh"             VARCHAR(10),         -- ngày sinh
  "nktDanToc"               VARCHAR(100),        -- dân tộc
  "nktQuocTich"             VARCHAR(100),        -- quốc tịch
  "nktNoiCuTru"             VARCHAR(250),        -- nơi cư trú (cuối cùng)
  "nktNoiCuTruDVHC"         VARCHAR(5),          -- mã xã nơi cư trú
  "nktLoaiGiayToTuyThan"    SMALLINT,            -- người chết: loại giấy tờ
  "nktSoGiayToTuyThan"      VARCHAR(20),         -- người chết: số giấy tờ
  "nktNgayCapGiayToTuyThan" VARCHAR(10),         -- người chết: ngày cấp
  "nktNoiCapGiayToTuyThan"  VARCHAR(250),        -- người chết: nơi cấp
  "nktNgayChet"             VARCHAR(10),         -- ngày chết
  "nktGioPhutChet"          VARCHAR(5),          -- giờ phút chết HH:mm
  "nktNoiChet"              VARCHAR(250),        -- nơi chết
  "nktNoiChetDVHC"          VARCHAR(5),          -- mã xã nơi chết
  "nktNguyenNhanChet"       VARCHAR(250),        -- nguyên nhân chết
  "gbtLoai"                 SMALLINT,            -- loại giấy báo tử 1 đến 7
  "gbtSo"                   VARCHAR(30),         -- số giấy báo tử
  "gbtNgay"                 VARCHAR(10),         -- ngày giấy báo tử
  "gbtCoQuanCap"            VARCHAR(250),        -- cơ quan cấp giấy báo tử
  "nycHoTen"                VARCHAR(100),        -- người yêu cầu: họ và tên
  "nycQuanHe"               VARCHAR(100),        -- người yêu cầu: quan hệ
  "nycLoaiGiayToTuyThan"    SMALLINT,            -- người yêu cầu: loại giấy tờ
  "nycSoGiayToTuyThan"      VARCHAR(20),         -- người yêu cầu: số giấy tờ
  "nycNgayCapGiayToTuyThan" VARCHAR(10),         -- người yêu cầu: ngày cấp
  "nycNoiCapGiayToTuyThan"  VARCHAR(250),        -- người yêu cầu: nơi cấp
  "ngayCapNhat"             TIMESTAMP NOT NULL   -- thời điểm cập nhật
);

-- Xác nhận tình trạng hôn nhân.
CREATE TABLE "xac_nhan_hon_nhan" (
  "id"                      BIGINT PRIMARY KEY,  -- số thứ tự bản ghi
  "bangMa"                  VARCHAR(8) NOT NULL, -- UNICODE hoặc VNI
  "so"                      VARCHAR(20),         -- số đăng ký, ví dụ 125/2019
  "quyenSo"                 VARCHAR(20),         -- quyển số
  "trangSo"                 VARCHAR(10),         -- trang số
  "ngayDangKy"              VARCHAR(10),         -- ngày đăng ký
  "loaiDangKy"              SMALLINT,            -- 1 đúng hạn, 2 đăng ký lại, 3 ghi vào sổ việc ở nước ngoài, 4 quá hạn, 0 không có
  "noiDangKy"               VARCHAR(250),        -- nơi đăng ký
  "nguoiKy"                 VARCHAR(100),        -- người ký
  "chucVuNguoiKy"           VARCHAR(100),        -- chức vụ người ký
  "nguoiThucHien"           VARCHAR(100),        -- người thực hiện
  "ghiChu"                  VARCHAR(250),        -- ghi chú
  "nxnSoDDCN"               VARCHAR(12),         -- số định danh
  "nxnHoTen"                VARCHAR(100),        -- họ và tên
  "nxnGioiTinh"             SMALLINT,            -- giới tính
  "nxnNgaySinh"             VARCHAR(10),         -- ngày sinh
  "nxnDanToc"               VARCHAR(100),        -- dân tộc
  "nxnQuocTich"             VARCHAR(100),        -- quốc tịch
  "nxnNoiCuTru"             VARCHAR(250),        -- nơi cư trú (cuối cùng)
  "nxnNoiCuTruDVHC"         VARCHAR(5),          -- mã xã nơi cư trú
  "nxnThoiGianCuTruTu"      VARCHAR(10),         -- cư trú từ ngày
  "nxnThoiGianCuTruDen"     VARCHAR(10),         -- cư trú đến ngày
  "nxnLoaiGiayToTuyThan"    SMALLINT,            -- người được xác nhận: loại giấy tờ
  "nxnSoGiayToTuyThan"      VARCHAR(20),         -- người được xác nhận: số giấy tờ
  "nxnNgayCapGiayToTuyThan" VARCHAR(10),         -- người được xác nhận: ngày cấp
  "nxnNoiCapGiayToTuyThan"  VARCHAR(250),        -- người được xác nhận: nơi cấp
  "nxnTinhTrangHonNhan"     SMALLINT,            -- 1 chưa đăng ký kết hôn, 2 đang có vợ hoặc chồng, 3 đã ly hôn, 4 vợ hoặc chồng đã chết, 5 trong thời gian trên chưa đăng ký, hiện đã kết hôn
  "nxnMucDich"              SMALLINT,            -- mục đích 1 đến 5
  "nxnNguoiDuDinhKetHon"    VARCHAR(100),        -- người dự định kết hôn; trống: không để kết hôn
  "ngayCapNhat"             TIMESTAMP NOT NULL   -- thời điểm cập nhật
);

CREATE INDEX "ix_khai_sinh_soDinhDanh" ON "khai_sinh" ("soDinhDanh");
CREATE INDEX "ix_ket_hon_chongSoDDCN" ON "ket_hon" ("chongSoDDCN");
CREATE INDEX "ix_ket_hon_voSoDDCN" ON "ket_hon" ("voSoDDCN");
CREATE INDEX "ix_khai_tu_nktSoDDCN" ON "khai_tu" ("nktSoDDCN");
CREATE INDEX "ix_xac_nhan_hon_nhan_nxnSoDDCN" ON "xac_nhan_hon_nhan" ("nxnSoDDCN");
