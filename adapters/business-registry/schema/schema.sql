-- Reference database of enterprise registration (CSDL đăng ký doanh nghiệp). PostgreSQL dialect; text is Unicode.
-- Representatives are joined by ";" in "LEGAL_NAMES", their numbers in the same order in "LEGAL_IDS". Dates are text dd/MM/yyyy.

-- Doanh nghiệp, chi nhánh, văn phòng đại diện, địa điểm kinh doanh.
CREATE TABLE "DOANH_NGHIEP" (
  "ENTERPRISE_ID"        BIGINT PRIMARY KEY,   -- mã hệ thống
  "ENTERPRISE_GDT_CODE"  VARCHAR(14) NOT NULL, -- mã số doanh nghiệp, hoặc NNNNNNNNNN-XXX
  "IMP_BUSINESS_CODE"    VARCHAR(20),          -- số giấy phép cũ; trống: không có
  "PARENT_GDT_CODE"      VARCHAR(14),          -- mã số doanh nghiệp chủ quản; trống: không phụ thuộc
  "ENTERPRISE_TYPE_ID"   SMALLINT,             -- 1 DNTN, 2 TNHH một thành viên, 3 TNHH hai thành viên trở lên, 4 cổ phần, 5 hợp danh, 6 chi nhánh, 7 văn phòng đại diện, 8 địa điểm kinh doanh
  "NAME"                 VARCHAR(250),         -- tên
  "NAME_FOLDED"          VARCHAR(250),         -- tên viết hoa, không dấu: khóa tìm kiếm do cơ sở dữ liệu tự lập
  "SHORT_NAME"           VARCHAR(100),         -- tên viết tắt
  "NAME_F"               VARCHAR(250),         -- tên tiếng nước ngoài
  "FOUNDING_DATE"        VARCHAR(10),          -- ngày thành lập
  "LAST_AMEND_DATE"      VARCHAR(10),          -- ngày thay đổi gần nhất
  "NUMBER_CHANGES"       INTEGER,              -- số lần thay đổi
  "ENTERPRISE_STATUS"    SMALLINT,             -- 1 đang hoạt động, 2 tạm ngừng, 3 không hoạt động tại địa chỉ đã đăng ký, 4 bị thu hồi do cưỡng chế thuế, 5 đang giải thể, chia tách, sáp nhập, 6 đang phá sản, 7 đã giải thể, chấm dứt
  "LEGAL_NAMES"          VARCHAR(500),         -- người đại diện, nối bằng ";"
  "LEGAL_IDS"            VARCHAR(100),         -- số định danh người đại diện, nối bằng ";", cùng thứ tự
  "CAPITAL_AMOUNT"       DECIMAL(21,3),        -- vốn điều lệ, đồng
  "HO_CITY_ID"           VARCHAR(2),           -- trụ sở: mã tỉnh
  "HO_DISTRICT_ID"       VARCHAR(3),           -- trụ sở: mã huyện
  "HO_WARD_ID"           VARCHAR(5),           -- trụ sở: mã xã
  "HO_STREET_NUMBER"     VARCHAR(100),         -- trụ sở: số nhà, đường
  "HO_ADDRESS_FULL_TEXT" VARCHAR(250),         -- trụ sở: địa chỉ đầy đủ
  "UPDATED_AT"           TIMESTAMP NOT NULL    -- thời điểm cập nhật
);

-- Ngành nghề kinh doanh.
CREATE TABLE "NGANH_NGHE" (
  "ENTERPRISE_ID" BIGINT NOT NULL,   -- doanh nghiệp
  "STT"           SMALLINT NOT NULL, -- thứ tự
  "CODE"          VARCHAR(5),        -- mã ngành
  "NAME"          VARCHAR(250),      -- tên ngành
  "IS_MAIN"       CHAR(1),           -- Y ngành chính, N không
  "VSIC_YEAR"     SMALLINT           -- 2018 (QĐ 27/2018) hoặc 2025 (QĐ 36/2025)
);

-- Thành viên góp vốn.
CREATE TABLE "THANH_VIEN" (
  "ENTERPRISE_ID" BIGINT NOT NULL,   -- doanh nghiệp
  "STT"           SMALLINT NOT NULL, -- thứ tự
  "MEMBER_NAME"   VARCHAR(100),      -- họ và tên
  "AMOUNT"        DECIMAL(21,3),     -- giá trị góp, đồng
  "RATIO_PERCENT" DECIMAL(6,3),      -- tỷ lệ góp, phần trăm
  "COUNTRY"       VARCHAR(100)       -- quốc gia, ghi bằng chữ
);

-- Tra cứu doanh nghiệp theo số định danh người đại diện.
CREATE TABLE "NGUOI_DAI_DIEN" (
  "ENTERPRISE_ID" BIGINT NOT NULL,      -- doanh nghiệp
  "STT"           SMALLINT NOT NULL,    -- thứ tự
  "SO_DINH_DANH"  VARCHAR(12) NOT NULL  -- số định danh
);

CREATE INDEX "ix_DOANH_NGHIEP_ENTERPRISE_GDT_CODE" ON "DOANH_NGHIEP" ("ENTERPRISE_GDT_CODE");
CREATE INDEX "ix_DOANH_NGHIEP_NAME_FOLDED" ON "DOANH_NGHIEP" ("NAME_FOLDED");
CREATE INDEX "ix_NGANH_NGHE_ENTERPRISE_ID" ON "NGANH_NGHE" ("ENTERPRISE_ID");
CREATE INDEX "ix_THANH_VIEN_ENTERPRISE_ID" ON "THANH_VIEN" ("ENTERPRISE_ID");
CREATE INDEX "ix_NGUOI_DAI_DIEN_SO_DINH_DANH" ON "NGUOI_DAI_DIEN" ("SO_DINH_DANH");
CREATE INDEX "ix_NGUOI_DAI_DIEN_ENTERPRISE_ID" ON "NGUOI_DAI_DIEN" ("ENTERPRISE_ID");
