-- Personal access tokens, and the integers by which the API of the user calls people.

-- Rewrites the table, which has one row per person.
ALTER TABLE "account_user" ADD COLUMN "number" SERIAL NOT NULL;
CREATE UNIQUE INDEX "account_user_number_key" ON "account_user"("number");

CREATE TABLE "personal_access_token" (
    "sha256" BYTEA NOT NULL,
    "tenant_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "sealed_value" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "personal_access_token_pkey" PRIMARY KEY ("sha256"),
    CONSTRAINT "personal_access_token_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE RESTRICT
);

CREATE INDEX "personal_access_token_tenant_id_idx" ON "personal_access_token"("tenant_id");

-- One at a time.
CREATE UNIQUE INDEX "personal_access_token_user_id_key" ON "personal_access_token"("user_id") WHERE "revoked_at" IS NULL;
