-- A user is read at each AUTH and written once a minute at most (last_used_at, which no index has).
CREATE TABLE "smtp_user" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "username" TEXT NOT NULL,
    "username_folded" TEXT NOT NULL,
    "sha256" BYTEA NOT NULL,
    "domain" TEXT NOT NULL,
    "allowed_ips" TEXT[],
    "daily_limit" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "last_used_at" TIMESTAMPTZ(3),

    CONSTRAINT "smtp_user_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "smtp_user_username_folded_key" ON "smtp_user"("username_folded");

CREATE UNIQUE INDEX "smtp_user_sha256_key" ON "smtp_user"("sha256");

CREATE INDEX "smtp_user_tenant_id_id_idx" ON "smtp_user"("tenant_id", "id");

ALTER TABLE "smtp_user" ADD CONSTRAINT "smtp_user_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE RESTRICT;
