import { aws_elasticache as elasticache, Fn, RemovalPolicy, aws_secretsmanager as secrets } from 'aws-cdk-lib'
import { Construct } from 'constructs'
import type { Size } from '../sizes.ts'
import { acknowledge } from './acknowledge.ts'
import type { Network } from './network.ts'

const PORT = 6379

/** The rights of docs/redis.md#rights, and `scan` for `ratchet restored`. A test compares the two. */
export const ACCESS =
  'on ~rt:* ~budget:* ~ratchet:* -@all +del +eval +evalsha +hget +hincrby +hmget +hset +info +pexpire +pexpireat +ping +pttl +set +time +xadd +xrange +xread +xrevrange +scan'

/**
 * ElastiCache with Valkey: a replication group of a master and a replica in another zone, TLS, and a user with a
 * password. Serverless caches report no replication id, so Postgres would decide every refresh.
 */
export class Cache extends Construct {
  readonly group: elasticache.CfnReplicationGroup
  /** Its value is REDIS_URL as a whole. */
  readonly url: secrets.ISecret

  constructor(scope: Construct, id: string, network: Network, size: Size) {
    super(scope, id)
    const password = this.password('Password')
    const user = new elasticache.CfnUser(this, 'User', {
      engine: 'valkey',
      userId: Fn.join('-', ['ratchet', uniqueEnd()]),
      userName: 'ratchet',
      accessString: ACCESS,
      // The password is resolved by CloudFormation; the template has only its name.
      authenticationMode: { Type: 'password', Passwords: [password.secretValue.unsafeUnwrap()] },
    })
    // A group needs a user of this name, whom clients without a name would be.
    const nobody = new elasticache.CfnUser(this, 'Nobody', {
      engine: 'valkey',
      userId: Fn.join('-', ['nobody', uniqueEnd()]),
      userName: 'default',
      accessString: 'off -@all',
      authenticationMode: {
        Type: 'password',
        Passwords: [this.password('PasswordOfNobody').secretValue.unsafeUnwrap()],
      },
    })
    const users = new elasticache.CfnUserGroup(this, 'Users', {
      engine: 'valkey',
      userGroupId: Fn.join('-', ['ratchet', uniqueEnd()]),
      userIds: [user.ref, nobody.ref],
    })
    const parameters = new elasticache.CfnParameterGroup(this, 'Parameters', {
      cacheParameterGroupFamily: 'valkey8',
      description: 'Ratchet',
      // Evicted sessions cost Postgres a read each; long values in the compact form halve the memory of a session.
      properties: { 'maxmemory-policy': 'noeviction', 'hash-max-listpack-value': '512' },
    })
    const subnets = new elasticache.CfnSubnetGroup(this, 'Subnets', {
      description: 'Isolated subnets',
      subnetIds: network.vpc.selectSubnets(network.storeSubnets).subnetIds,
    })
    this.group = new elasticache.CfnReplicationGroup(this, 'Group', {
      replicationGroupDescription: 'Ratchet',
      engine: 'valkey',
      engineVersion: '8.0',
      cacheNodeType: size.cache,
      numCacheClusters: 2,
      automaticFailoverEnabled: true,
      multiAzEnabled: true,
      port: PORT,
      transitEncryptionEnabled: true,
      transitEncryptionMode: 'required',
      atRestEncryptionEnabled: true,
      userGroupIds: [users.ref],
      cacheParameterGroupName: parameters.ref,
      cacheSubnetGroupName: subnets.ref,
      securityGroupIds: [network.storeGroup('Cache', 'Redis', PORT).securityGroupId],
      autoMinorVersionUpgrade: true,
      preferredMaintenanceWindow: 'sun:04:30-sun:05:30',
      // Redis holds nothing that cannot be lost.
      snapshotRetentionLimit: 0,
    })
    acknowledge(this.group, {
      AEC5: 'The port is no secret; only nodes reach it.',
      AEC6: 'Users of their own with rights of their own (RBAC) take the place of AUTH, which knows one password for everything.',
    })
    const url = new secrets.CfnSecret(this, 'Url', {
      description: 'REDIS_URL of Ratchet',
      secretString: Fn.join('', [
        'rediss://ratchet:',
        password.secretValue.unsafeUnwrap(),
        '@',
        this.group.attrPrimaryEndPointAddress,
        ':',
        this.group.attrPrimaryEndPointPort,
      ]),
    })
    acknowledge(url, {
      SMG4: 'ElastiCache has no rotation: docs/operating/aws.md says how to replace the password.',
    })
    this.url = secrets.Secret.fromSecretCompleteArn(this, 'ImportedUrl', url.ref)
  }

  private password(id: string): secrets.Secret {
    const secret = new secrets.Secret(this, id, {
      description: 'Password of ElastiCache',
      // No punctuation, so that it needs no encoding in a URL.
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
      removalPolicy: RemovalPolicy.DESTROY,
    })
    acknowledge(secret, {
      SMG4: 'ElastiCache has no rotation: docs/operating/aws.md says how to replace it.',
    })
    return secret
  }
}

/** Eight hexadecimal digits that differ from stack to stack: these names are unique in an account. */
const uniqueEnd = () => Fn.select(0, Fn.split('-', Fn.select(2, Fn.split('/', Fn.ref('AWS::StackId')))))
