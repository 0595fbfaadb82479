-- Sending domains, their DKIM keys, what was seen of their records, and key pairs made ahead of time.

CREATE TABLE "domain" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "ownership_token" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "checked_at" TIMESTAMPTZ(3),
    "verified_at" TIMESTAMPTZ(3),

    CONSTRAINT "domain_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "domain_tenant_id_name_key" ON "domain"("tenant_id", "name");
CREATE INDEX "domain_tenant_id_id_idx" ON "domain"("tenant_id", "id");
CREATE INDEX "domain_name_idx" ON "domain"("name");
-- Anybody may claim a name; one tenant has it. The last word is here, whatever two pods decide at the same time.
CREATE UNIQUE INDEX "domain_name_verified_key" ON "domain"("name") WHERE "status" = 'verified';

CREATE TABLE "dkim_key" (
    "tenant_id" UUID NOT NULL,
    "domain_id" UUID NOT NULL,
    "selector" TEXT NOT NULL,
    "active" BOOLEAN NOT NULL,
    "public_key" TEXT NOT NULL,
    "sealed_private_key" BYTEA NOT NULL,

    CONSTRAINT "dkim_key_pkey" PRIMARY KEY ("domain_id", "selector"),
    CONSTRAINT "dkim_key_domain_id_fkey" FOREIGN KEY ("domain_id") REFERENCES "domain"("id") ON DELETE CASCADE ON UPDATE RESTRICT
);

-- One selector signs.
CREATE UNIQUE INDEX "dkim_key_active_key" ON "dkim_key"("domain_id") WHERE "active";

CREATE TABLE "domain_record" (
    "tenant_id" UUID NOT NULL,
    "domain_id" UUID NOT NULL,
    "slot" TEXT NOT NULL,
    "status" TEXT NOT NULL,
    "seen" TEXT[],
    "problem" TEXT NOT NULL,

    CONSTRAINT "domain_record_pkey" PRIMARY KEY ("domain_id", "slot"),
    CONSTRAINT "domain_record_domain_id_fkey" FOREIGN KEY ("domain_id") REFERENCES "domain"("id") ON DELETE CASCADE ON UPDATE RESTRICT
);

CREATE TABLE "spare_dkim_key" (
    "id" UUID NOT NULL,
    "public_key" TEXT NOT NULL,
    "sealed_private_key" BYTEA NOT NULL,

    CONSTRAINT "spare_dkim_key_pkey" PRIMARY KEY ("id")
);
