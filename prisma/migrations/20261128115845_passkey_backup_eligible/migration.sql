-- AlterTable
ALTER TABLE "passkeys" ADD COLUMN     "backup_eligible" BOOLEAN;
