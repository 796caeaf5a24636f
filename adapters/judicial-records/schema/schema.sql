-- Reference database of judicial records (CSDL lý lịch tư pháp). PostgreSQL dialect.
-- The system predates Unicode: every text a person typed is a string of TCVN3 (ABC) bytes, one byte per letter, hence BYTEA.
-- "ethnicId" and "nationalityId" are ids of this system alone: see internal_ids.csv. Dates are text: DD/MM/YYYY, MM/YYYY or YYYY.

-- Hồ sơ lý lịch tư pháp: một người.
CREATE TABLE "ho_so" (
  "id"                 BIGINT PRIMARY KEY,   -- số thứ tự hồ sơ
  "receiveNo"          VARCHAR(30) NOT NULL, -- mã tiếp nhận
  "personalId"         VARCHAR(12),          -- số định danh đã đối chiếu; trống: hồ sơ chỉ có CMND
  "fullName"           BYTEA,                -- họ và tên
  "genderId"           SMALLINT,             -- 1 nam, 0 nữ
  "birthDateStr"       VARCHAR(10),          -- ngày sinh
  "birthPlace"         BYTEA,                -- nơi sinh
  "nationalityId"      INTEGER,              -- quốc tịch, mã nội bộ
  "ethnicId"           INTEGER,              -- dân tộc, mã nội bộ
  "residence"          BYTEA,                -- nơi thường trú
  "reRegionId"         VARCHAR(5),           -- mã xã nơi thường trú
  "residenceTemporary" BYTEA,                -- nơi tạm trú; trống: không có
  "rtRegionId"         VARCHAR(5),           -- mã xã nơi tạm trú
  "idTypeId"           SMALLINT,             -- 0 hộ chiếu, 1 CMND, 2 thẻ cư trú, 3 CCCD
  "identifyNo"         VARCHAR(20),          -- số giấy tờ
  "idIssueDate"        VARCHAR(10),          -- ngày cấp giấy tờ
  "idIssuePlace"       BYTEA,                -- nơi cấp giấy tờ
  "fatherName"         BYTEA,                -- họ và tên cha
  "fatherYear"         VARCHAR(4),           -- năm sinh cha
  "motherName"         BYTEA,                -- họ và tên mẹ
  "motherYear"         VARCHAR(4),           -- năm sinh mẹ
  "partnerName"        BYTEA,                -- họ và tên vợ hoặc chồng
  "partnerYear"        VARCHAR(4),           -- năm sinh vợ hoặc chồng
  "phone"              VARCHAR(20),          -- điện thoại
  "email"              VARCHAR(100),         -- thư điện tử
  "declareTypeId"      INTEGER,              -- 3844 cơ quan tố tụng, 3845 ủy quyền, 3846 cá nhân, 3847 cơ quan
  "objectRequestId"    INTEGER,              -- 71 người nước ngoài, 72 công dân, 73 cơ quan, 74 tố tụng
  "formType"           SMALLINT,             -- phiếu số 1 hoặc 2
  "isBanPosition"      BOOLEAN NOT NULL,     -- có yêu cầu nội dung cấm đảm nhiệm chức vụ
  "purpose"            BYTEA,                -- mục đích
  "requestQty"         SMALLINT,             -- số bản
  "issueBody"          BYTEA,                -- cơ quan cấp
  "updatedAt"          TIMESTAMP NOT NULL    -- thời điểm cập nhật
);

-- Án tích của hồ sơ, đã xóa hay chưa.
CREATE TABLE "an_tich" (
  "id"                  BIGINT PRIMARY KEY, -- số thứ tự
  "ho_so_id"            BIGINT NOT NULL,    -- hồ sơ
  "stt"                 SMALLINT NOT NULL,  -- thứ tự trong hồ sơ
  "toa_an"              BYTEA,              -- tòa án
  "so_ban_an"           VARCHAR(30),        -- số bản án
  "ngay_tuyen"          VARCHAR(10),        -- ngày tuyên án
  "toi_danh"            BYTEA,              -- tội danh, điều khoản
  "hinh_phat_chinh"     BYTEA,              -- hình phạt chính
  "hinh_phat_bo_sung"   BYTEA,              -- hình phạt bổ sung; trống: không có
  "nghia_vu_dan_su"     BYTEA,              -- nghĩa vụ dân sự; trống: không có
  "an_phi"              BIGINT,             -- án phí, đồng
  "tinh_trang_thi_hanh" SMALLINT,           -- 1 đang chấp hành, 2 đã chấp hành xong, 3 tạm đình chỉ, 4 được miễn
  "DA_XOA_AN_TICH"      SMALLINT NOT NULL,  -- 1 đã xóa án tích, 0 chưa
  "ngay_xoa"            VARCHAR(10)         -- ngày xóa án tích; trống: chưa xóa
);

-- Cấm đảm nhiệm chức vụ, cấm thành lập và quản lý doanh nghiệp.
CREATE TABLE "cam_dam_nhiem" (
  "id"       BIGINT PRIMARY KEY, -- số thứ tự
  "ho_so_id" BIGINT NOT NULL,    -- hồ sơ
  "stt"      SMALLINT NOT NULL,  -- thứ tự trong hồ sơ
  "chuc_vu"  BYTEA,              -- chức vụ, việc bị cấm
  "den_ngay" VARCHAR(10)         -- cấm đến ngày
);

-- Quá trình cư trú và làm việc từ năm 14 tuổi.
CREATE TABLE "qua_trinh" (
  "id"             BIGINT PRIMARY KEY, -- số thứ tự
  "ho_so_id"       BIGINT NOT NULL,    -- hồ sơ
  "stt"            SMALLINT NOT NULL,  -- thứ tự trong hồ sơ
  "fromDateStr"    VARCHAR(10),        -- từ
  "toDateStr"      VARCHAR(10),        -- đến; trống: đến nay
  "residencePlace" BYTEA,              -- nơi cư trú
  "jobName"        BYTEA,              -- nghề nghiệp
  "workPlace"      BYTEA               -- nơi làm việc
);

CREATE INDEX "ix_ho_so_personalId" ON "ho_so" ("personalId");
CREATE INDEX "ix_ho_so_identifyNo" ON "ho_so" ("identifyNo");
CREATE INDEX "ix_an_tich_ho_so_id" ON "an_tich" ("ho_so_id");
CREATE INDEX "ix_cam_dam_nhiem_ho_so_id" ON "cam_dam_nhiem" ("ho_so_id");
CREATE INDEX "ix_qua_trinh_ho_so_id" ON "qua_trinh" ("ho_so_id");
