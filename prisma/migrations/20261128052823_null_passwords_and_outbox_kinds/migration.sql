-- AlterTable
ALTER TABLE "outbox_messages" ADD COLUMN     "kind" TEXT NOT NULL DEFAULT 'mail';

-- AlterTable
ALTER TABLE "users" ALTER COLUMN "password_hash" DROP NOT NULL;
