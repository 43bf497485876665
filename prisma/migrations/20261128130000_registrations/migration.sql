-- CreateTable
CREATE TABLE "registrations" (
    "id" UUID NOT NULL,
    "email" TEXT NOT NULL,
    "name" TEXT,
    "password_hash" TEXT,
    "token_hash" BYTEA,
    "link_hash" BYTEA,
    "sealed_link" BYTEA,
    "mailed_at" TIMESTAMPTZ(3),
    "ip" TEXT,
    "user_agent" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "user_id" UUID,

    CONSTRAINT "registrations_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "registration_mails" (
    "id" UUID NOT NULL,
    "email" TEXT NOT NULL,
    "client" TEXT NOT NULL,
    "due_at" TIMESTAMPTZ(3) NOT NULL,
    "sent_at" TIMESTAMPTZ(3),

    CONSTRAINT "registration_mails_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "registrations_token_hash_key" ON "registrations"("token_hash");

-- CreateIndex
CREATE UNIQUE INDEX "registrations_link_hash_key" ON "registrations"("link_hash");

-- CreateIndex
CREATE INDEX "registrations_email_created_at_idx" ON "registrations"("email", "created_at");

-- CreateIndex
CREATE INDEX "registrations_user_id_idx" ON "registrations"("user_id");

-- CreateIndex
CREATE INDEX "registrations_expires_at_idx" ON "registrations"("expires_at");

-- CreateIndex
CREATE INDEX "registration_mails_email_due_at_idx" ON "registration_mails"("email", "due_at");

-- CreateIndex
CREATE INDEX "registration_mails_due_at_idx" ON "registration_mails"("due_at");

-- CreateIndex: the question whether a mail is due is asked all the time
CREATE INDEX "registration_mails_waiting_idx" ON "registration_mails"("due_at") WHERE "sent_at" IS NULL;

-- CreateIndex: accounts that are not verified become registrations. IF NOT EXISTS, so that it can be created
-- CONCURRENTLY before an update.
CREATE INDEX IF NOT EXISTS "users_unverified_idx" ON "users"("created_at") WHERE "email_verified_at" IS NULL AND "disabled_at" IS NULL AND "password_hash" IS NOT NULL;

-- AddForeignKey
ALTER TABLE "registrations" ADD CONSTRAINT "registrations_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "users"("id") ON DELETE CASCADE ON UPDATE CASCADE;
