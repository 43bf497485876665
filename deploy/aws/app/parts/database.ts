import { CfnDeletionPolicy, aws_rds as rds, aws_secretsmanager as secrets } from 'aws-cdk-lib'
import { Construct } from 'constructs'
import type { Size } from '../sizes.ts'
import { acknowledge } from './acknowledge.ts'
import type { Network } from './network.ts'

/** The port on which Postgres listens. */
const PORT = 5432

/**
 * RDS for PostgreSQL: a standby in the second zone, private subnets, encrypted, 14 days of backups, TLS required.
 * RDS makes the password, keeps it in Secrets Manager and replaces it every seven days.
 */
export class Database extends Construct {
  readonly instance: rds.CfnDBInstance
  /** `{"username", "password"}`: what DB_SECRET_JSON takes, with DB_HOST, DB_PORT and DB_NAME beside it. */
  readonly secret: secrets.ISecret
  /** The variables that are no secrets. */
  readonly environment: Record<string, string>

  constructor(scope: Construct, id: string, network: Network, size: Size) {
    super(scope, id)
    const subnets = new rds.CfnDBSubnetGroup(this, 'Subnets', {
      dbSubnetGroupDescription: 'Isolated subnets',
      subnetIds: network.vpc.selectSubnets(network.storeSubnets).subnetIds,
    })
    const parameters = new rds.CfnDBParameterGroup(this, 'Parameters', {
      family: 'postgres18',
      description: 'Ratchet',
      // The sessions of nodes have limits of their own; these are for people with psql.
      parameters: { 'rds.force_ssl': '1', idle_in_transaction_session_timeout: '600000' },
    })
    this.instance = new rds.CfnDBInstance(this, 'Instance', {
      engine: 'postgres',
      engineVersion: '18',
      dbInstanceClass: size.database,
      dbName: 'ratchet',
      masterUsername: 'ratchet',
      manageMasterUserPassword: true,
      port: String(PORT),
      allocatedStorage: String(size.databaseDisk),
      // A full disk stops sign-ins: RDS enlarges it before.
      maxAllocatedStorage: size.databaseDisk * 10,
      storageType: 'gp3',
      storageEncrypted: true,
      multiAz: true,
      publiclyAccessible: false,
      dbSubnetGroupName: subnets.ref,
      vpcSecurityGroups: [network.storeGroup('Database', 'Postgres', PORT).securityGroupId],
      dbParameterGroupName: parameters.ref,
      caCertificateIdentifier: 'rds-ca-rsa2048-g1',
      backupRetentionPeriod: 14,
      preferredBackupWindow: '02:00-03:00',
      preferredMaintenanceWindow: 'sun:03:30-sun:04:30',
      copyTagsToSnapshot: true,
      deleteAutomatedBackups: false,
      deletionProtection: true,
      autoMinorVersionUpgrade: true,
      enablePerformanceInsights: true,
      enableCloudwatchLogsExports: ['postgresql', 'upgrade'],
    })
    acknowledge(this.instance, { RDS11: 'The port is no secret; only nodes reach it.' })
    // CloudFormation would otherwise delete the data with the stack, or when a property needs a new instance.
    this.instance.cfnOptions.deletionPolicy = CfnDeletionPolicy.SNAPSHOT
    this.instance.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.SNAPSHOT
    this.secret = secrets.Secret.fromSecretCompleteArn(
      this,
      'Secret',
      this.instance.attrMasterUserSecretSecretArn,
    )
    this.environment = {
      DB_HOST: this.instance.attrEndpointAddress,
      DB_PORT: this.instance.attrEndpointPort,
      DB_NAME: 'ratchet',
      DB_SSLMODE: 'verify-full',
      // The image has the authorities of RDS there, which no other connection trusts.
      DB_SSLROOTCERT: '/app/dist/rds-ca.pem',
    }
  }
}
