-- Addresses that came onto a tenant's list lately: a claim looks each of its rows up here, by the primary key.
CREATE TABLE "suppressed" (
  "tenant_id" uuid NOT NULL,
  "address" text COLLATE "C" NOT NULL,
  "told_at" timestamptz(3) NOT NULL DEFAULT now(),
  CONSTRAINT "suppressed_pkey" PRIMARY KEY ("tenant_id", "address")
);
