-- AlterTable
ALTER TABLE "clients" ADD COLUMN     "admin_scopes" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "backchannel_logout_uri" TEXT,
ADD COLUMN     "id_token_alg" TEXT,
ADD COLUMN     "is_first_party" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "late_window" INTEGER NOT NULL DEFAULT 1800,
ADD COLUMN     "post_logout_redirect_uris" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "redirect_uris" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "requires_dpop" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN     "uri" TEXT;

-- AlterTable
ALTER TABLE "resources" ADD COLUMN     "alg" TEXT;

-- AlterTable
ALTER TABLE "sessions" ADD COLUMN     "binding" TEXT,
ADD COLUMN     "home" TEXT,
ADD COLUMN     "parent_id" UUID,
ADD COLUMN     "resource" TEXT,
ADD COLUMN     "turns" TEXT;

-- CreateTable
CREATE TABLE "grants" (
    "user_id" UUID NOT NULL,
    "client_id" TEXT NOT NULL,
    "resource" TEXT NOT NULL,
    "scopes" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "grants_pkey" PRIMARY KEY ("user_id","client_id","resource")
);

-- CreateTable
CREATE TABLE "used_codes" (
    "hash" BYTEA NOT NULL,
    "session_id" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "used_codes_pkey" PRIMARY KEY ("hash")
);

-- CreateIndex
CREATE INDEX "grants_client_id_idx" ON "grants"("client_id");

-- CreateIndex
CREATE INDEX "used_codes_expires_at_idx" ON "used_codes"("expires_at");

-- CreateIndex
CREATE INDEX IF NOT EXISTS "sessions_parent_idx" ON "sessions"("parent_id") WHERE "parent_id" IS NOT NULL;

-- CreateIndex
CREATE INDEX IF NOT EXISTS "sessions_of_clients_idx" ON "sessions"("client_id", "user_id") WHERE "resource" IS NOT NULL;

-- AddForeignKey
ALTER TABLE "grants" ADD CONSTRAINT "grants_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- ReplaceFunction: sessions of third parties do not count among those of an account.
CREATE OR REPLACE FUNCTION live_sessions(owner UUID, at TIMESTAMPTZ, most INTEGER) RETURNS INTEGER LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT count(*) FROM (
        SELECT FROM "sessions"
        WHERE "user_id" = owner AND "ended_at" IS NULL AND "idle_expires_at" > at AND "absolute_expires_at" > at
            AND "resource" IS NULL
        LIMIT most
    ) AS live);
END $$;
