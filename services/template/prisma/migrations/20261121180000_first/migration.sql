-- Templates and their versions.

CREATE TABLE "template" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "alias" TEXT,
    "published_version" INTEGER,
    "latest_version" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "template_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "template_tenant_id_alias_key" ON "template"("tenant_id", "alias");
CREATE INDEX "template_tenant_id_id_idx" ON "template"("tenant_id", "id");

CREATE TABLE "template_version" (
    "tenant_id" UUID NOT NULL,
    "template_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "subject" TEXT NOT NULL,
    "html" TEXT NOT NULL,
    "text" TEXT NOT NULL,
    "partials" TEXT[],
    "variables" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "template_version_pkey" PRIMARY KEY ("template_id", "number"),
    CONSTRAINT "template_version_template_id_fkey" FOREIGN KEY ("template_id") REFERENCES "template"("id") ON DELETE CASCADE ON UPDATE RESTRICT
);

-- A version is immutable, whatever a later release of the service tries.
CREATE FUNCTION "template_version_is_immutable"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a version of a template never changes';
END $$;
CREATE TRIGGER "template_version_is_immutable" BEFORE UPDATE ON "template_version" FOR EACH ROW EXECUTE FUNCTION "template_version_is_immutable"();
