-- Delivery asks for them every other second.
CREATE INDEX "tenant_suspended" ON "tenant" ("id") WHERE "suspended_at" IS NOT NULL;
