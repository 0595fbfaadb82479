-- Tenants whose mail stays in the queue, as auth said last: a claim looks each tenant that has something due up here, by the primary key.
CREATE TABLE "suspended_tenant" (
  "tenant_id" uuid NOT NULL,
  CONSTRAINT "suspended_tenant_pkey" PRIMARY KEY ("tenant_id")
);
