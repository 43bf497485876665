import { existsSync, readFileSync } from 'node:fs'

/** What a deployment chooses. No value of it is a secret: those are in Secrets Manager, under names that it gives. */
export interface Settings {
  /** The host of PUBLIC_URL. */
  domainName: string
  /** The zone of Route 53 that has `domainName`. Without it, `certificateArn` is needed and DNS is yours. */
  hostedZone?: { id: string; name: string }
  /** A certificate of ACM for `domainName`, in the region of the stack, instead of one that the stack makes. */
  certificateArn?: string
  /** The host of the account's registry, such as `123456789012.dkr.ecr.eu-central-1.amazonaws.com`. */
  registry: string
  /** The repository of ECR, which the stack RatchetDelivery makes. */
  repositoryName: string
  /** A tag, or better a digest (`sha256:…`). */
  imageTag: string
  /** The same for the image with the Lambda Web Adapter. */
  lambdaImageTag: string
  allowedOrigins: string[]
  mailFrom: string
  /** The secret that you have made, and the variable that it is the value of. */
  mail: { variable: 'SMTP_URL' | 'RESEND_API_KEY'; secretName: string }
  alarmEmail: string
  monthlyBudgetUsd: number
  size: 'small' | 'large'
  /** A name of `aws elasticbeanstalk list-available-solution-stacks`: AWS retires old ones. */
  beanstalkPlatform: string
  /** The CloudWatch agent that reads the metrics of a node on Fargate. */
  metricsAgentImage: string
  /** Further variables of docs/configuration.md that are no secrets. */
  environment?: Record<string, string>
  /** Who may deploy by OIDC. The ids are needed if the repository's `sub` carries them. */
  github?: {
    owner: string
    ownerId?: string
    repository: string
    repositoryId?: string
    /** The environment of GitHub that the job runs in: its rules decide who may deploy. */
    environment: string
    /** The provider of `token.actions.githubusercontent.com`, if the account has it already. */
    providerArn?: string
  }
}

const NEEDED = [
  'domainName',
  'registry',
  'repositoryName',
  'imageTag',
  'lambdaImageTag',
  'mailFrom',
  'alarmEmail',
  'beanstalkPlatform',
  'metricsAgentImage',
] as const
const SECRET = /SECRET|PASSWORD|DATABASE_URL|REDIS_URL|SMTP_URL|API_KEY/

/**
 * Reads the settings from a JSON file.
 *
 * @throws Error that names every fault at once
 */
export function readSettings(file: string): Settings {
  // The example must not be deployed by somebody who has forgotten to say which settings.
  if (!existsSync(file)) throw new Error(`${file} is missing: copy settings.example.json, and change it`)
  const settings = JSON.parse(readFileSync(file, 'utf8')) as Settings
  const faults = faultsOf(settings)
  if (faults.length > 0) throw new Error(`${file}:\n${faults.map((fault) => `- ${fault}`).join('\n')}`)
  return settings
}

/** What is missing or wrong in settings, in words. */
export function faultsOf(settings: Settings): string[] {
  const faults: string[] = NEEDED.filter((name) => !settings[name]).map((name) => `${name} is missing`)
  if (!settings.hostedZone === !settings.certificateArn)
    faults.push('one of hostedZone and certificateArn has to be set, and not both')
  if (!/^[a-z0-9.-]+\.[a-z0-9-]+$/.test(settings.domainName ?? ''))
    faults.push('domainName must be a host, without https://')
  if (!['small', 'large'].includes(settings.size)) faults.push('size must be small or large')
  if (!(settings.monthlyBudgetUsd > 0)) faults.push('monthlyBudgetUsd must be a number above 0')
  if (!['SMTP_URL', 'RESEND_API_KEY'].includes(settings.mail?.variable) || !settings.mail.secretName)
    faults.push('mail needs variable (SMTP_URL or RESEND_API_KEY) and secretName')
  if (settings.imageTag === 'latest' || settings.lambdaImageTag === 'latest')
    faults.push('an image must not be `latest`: a node that is replaced could be of another version')
  for (const [name, value] of Object.entries(settings.environment ?? {})) {
    if (SECRET.test(name) && name !== 'BREACHED_PASSWORDS_URL' && name !== 'PASSWORD_MIN_LENGTH')
      faults.push(`environment: ${name} is a secret, which everybody who may read the stack would see`)
    if (typeof value !== 'string') faults.push(`environment: ${name} must be a text`)
  }
  return faults
}
