import { type aws_iam as iam, RemovalPolicy, aws_secretsmanager as secrets } from 'aws-cdk-lib'
import { Construct } from 'constructs'
import type { Settings } from '../settings.ts'
import { SIZES, type Size } from '../sizes.ts'
import { acknowledge } from './acknowledge.ts'
import { Cache } from './cache.ts'
import { Database } from './database.ts'
import { Network } from './network.ts'

/** The port of the image. */
export const SERVER_PORT = 8080
/** Says `ready`, or `degraded` with 200 while a store is away: all nodes share the stores. */
export const READINESS = '/readyz'
export const LIVENESS = '/healthz'
/** Seconds until a node that was told to stop may be killed: DRAIN_SECONDS (5) + 15, and some more. */
export const STOP_SECONDS = 30

/** The stores and secrets of a deployment, and the environment of its nodes, whatever they run on. */
export class Server extends Construct {
  readonly database: Database
  readonly cache: Cache
  /** Variables whose value is a whole secret. */
  readonly secrets: Record<string, secrets.ISecret>
  private readonly settings: Settings

  constructor(scope: Construct, id: string, network: Network, settings: Settings) {
    super(scope, id)
    this.settings = settings
    const size = SIZES[settings.size]
    this.database = new Database(this, 'Database', network, size)
    this.cache = new Cache(this, 'Cache', network, size)
    const appSecrets = new secrets.Secret(this, 'AppSecrets', {
      description: 'APP_SECRETS of Ratchet: keep a copy where you reach it without this account',
      generateSecretString: { passwordLength: 64, excludePunctuation: true },
      // Without it nobody can read sessions, signing keys and authenticator apps.
      removalPolicy: RemovalPolicy.RETAIN,
    })
    acknowledge(appSecrets, {
      SMG4: 'A list of secrets that is replaced in three steps over 90 days: docs/operating/secrets.md.',
    })
    this.secrets = {
      APP_SECRETS: appSecrets,
      DB_SECRET_JSON: this.database.secret,
      REDIS_URL: this.cache.url,
      [settings.mail.variable]: secrets.Secret.fromSecretNameV2(this, 'Mail', settings.mail.secretName),
    }
  }

  /** Lets nodes with this role read the secrets, when they start and when a store refuses their password. */
  secretsFor(role: iam.IGrantable): Record<string, string> {
    const names = Object.entries(this.secrets).map(([name, secret]) => {
      secret.grantRead(role)
      return `${name}=${secret.secretArn}`
    })
    return { SECRETS_COMMAND: ['node aws/secrets.mjs', ...names].join(' ') }
  }

  /**
   * The variables that are no secrets.
   *
   * @param proxies how many proxies are between a browser and the node
   */
  environment(proxies: number): Record<string, string> {
    const { domainName, allowedOrigins, mailFrom, environment } = this.settings
    return {
      PUBLIC_URL: `https://${domainName}`,
      ALLOWED_ORIGINS: allowedOrigins.join(','),
      MAIL_FROM: mailFrom,
      RUN_MIGRATIONS: 'true',
      DRAIN_SECONDS: '5',
      ...environment,
      ...this.database.environment,
      // Last: it is a fact of the stack, and wrong it lets anybody claim any address.
      TRUST_PROXY: String(proxies),
    }
  }
}

/** What every stack begins with: the network, and in it the stores and secrets. Without NAT, nodes are in public subnets. */
export function addServer(scope: Construct, settings: Settings, { withNat = true } = {}) {
  const size: Size = SIZES[settings.size]
  const network = new Network(scope, 'Network', { natGateways: withNat ? size.natGateways : 0 })
  const server = new Server(scope, 'Server', network, settings)
  return { size, network, server }
}
