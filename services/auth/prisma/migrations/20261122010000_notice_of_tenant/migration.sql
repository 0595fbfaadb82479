-- Several tenants may invite the same person: each withdraws its own notice.
ALTER TABLE "notice" ADD COLUMN "tenant_id" UUID;
