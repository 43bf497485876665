-- CreateTable
CREATE TABLE "imported_accounts" (
    "user_id" UUID NOT NULL,
    "line_hash" BYTEA NOT NULL,
    "metadata" JSONB,

    CONSTRAINT "imported_accounts_pkey" PRIMARY KEY ("user_id")
);

-- CreateIndex
CREATE UNIQUE INDEX "imported_accounts_line_hash_key" ON "imported_accounts"("line_hash");

-- AddForeignKey
ALTER TABLE "imported_accounts" ADD CONSTRAINT "imported_accounts_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- CreateIndex: how password hashes begin, so that the kinds of them are found with a few looks. IF NOT EXISTS, so that it
-- can be created CONCURRENTLY before an update.
CREATE INDEX IF NOT EXISTS "users_hash_kind_idx" ON "users" ((substring("password_hash", '^(?:[$]?[^$]*[$](?:v=[0-9]+[$])?[^$]*[$]|AQ.{10})') COLLATE "C"));
