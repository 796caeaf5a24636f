INSERT INTO "ho_so" ("id", "receiveNo", "personalId", "fullName", "nationalityId", "isBanPosition", "updatedAt") VALUES (8, 'HS-8', '052090000778', X'4e677579906e', 1, FALSE, '2026-03-01 08:30:00');
