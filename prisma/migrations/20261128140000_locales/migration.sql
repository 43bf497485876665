-- AlterTable
ALTER TABLE "registrations" ADD COLUMN     "locale" TEXT;

-- AlterTable
ALTER TABLE "users" ADD COLUMN     "locale" TEXT;
