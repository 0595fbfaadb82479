-- Somebody who is invited and has an account elsewhere is kept like everybody else who is, so that nobody learns of the other account.
ALTER TABLE "account_user" ALTER COLUMN "email_folded" DROP NOT NULL;

CREATE UNIQUE INDEX "account_user_tenant_id_email_key" ON "account_user"("tenant_id", lower("email"));
