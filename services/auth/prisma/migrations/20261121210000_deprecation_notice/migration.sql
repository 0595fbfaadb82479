CREATE TABLE "deprecation_notice" (
    "api_key_id" UUID NOT NULL,
    "operation_id" TEXT NOT NULL,
    "tenant_id" UUID NOT NULL,
    "operation" TEXT NOT NULL,
    "meaning" TEXT NOT NULL,
    "docs_url" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "due_at" TIMESTAMPTZ(3),
    "tries" INTEGER NOT NULL DEFAULT 0,

    CONSTRAINT "deprecation_notice_pkey" PRIMARY KEY ("api_key_id", "operation_id")
);

CREATE INDEX "deprecation_notice_due_at_idx" ON "deprecation_notice"("due_at");
