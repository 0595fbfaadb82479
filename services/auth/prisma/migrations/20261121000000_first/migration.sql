-- Tenants, their users, their API keys.

CREATE TABLE "tenant" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "tenant_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "account_user" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "email" TEXT NOT NULL,
    "email_folded" TEXT NOT NULL,
    "role" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "account_user_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "account_user_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE RESTRICT
);

CREATE UNIQUE INDEX "account_user_email_folded_key" ON "account_user"("email_folded");
CREATE INDEX "account_user_tenant_id_idx" ON "account_user"("tenant_id");

-- last_used_at changes once a minute for a key in use; the free room lets that happen inside the page (HOT), touching no index.
CREATE TABLE "api_key" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "scope" TEXT NOT NULL,
    "sha256" BYTEA NOT NULL,
    "prefix" TEXT NOT NULL,
    "allowed_ips" TEXT[],
    "allowed_domains" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "last_used_at" TIMESTAMPTZ(3),

    CONSTRAINT "api_key_pkey" PRIMARY KEY ("id"),
    CONSTRAINT "api_key_sha256_size" CHECK (octet_length("sha256") = 32),
    CONSTRAINT "api_key_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE RESTRICT
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX "api_key_sha256_key" ON "api_key"("sha256");
CREATE INDEX "api_key_tenant_id_id_idx" ON "api_key"("tenant_id", "id");
