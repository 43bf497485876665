import { type App, Tags, Validations } from 'aws-cdk-lib'
import { AwsSolutionsChecks } from 'cdk-nag'
import { acknowledgeCheckov } from './parts/acknowledge.ts'
import type { Settings } from './settings.ts'
import { AppRunnerStack } from './stacks/app-runner.ts'
import { BeanstalkStack } from './stacks/beanstalk.ts'
import { DeliveryStack } from './stacks/delivery.ts'
import { ExpressStack } from './stacks/express.ts'
import { FargateStack } from './stacks/fargate.ts'
import { LambdaStack } from './stacks/lambda.ts'

/** Every stack by its name: the registry first, then one for each target, of which you deploy one. */
const STACKS = {
  RatchetDelivery: DeliveryStack,
  RatchetExpress: ExpressStack,
  RatchetFargate: FargateStack,
  RatchetBeanstalk: BeanstalkStack,
  RatchetAppRunner: AppRunnerStack,
  RatchetLambda: LambdaStack,
} as const

const OWN_KEY =
  'Encrypted by a key of AWS. One of your own costs a dollar a month, and matters where several accounts share data.'
const ACCEPTED = {
  'AWS::ECR::Repository': { CKV_AWS_136: OWN_KEY },
  'AWS::Lambda::Function': {
    CKV_AWS_116: 'Who calls it gets an answer, or its schedule calls again: no call has to be kept.',
    CKV_AWS_173: 'The environment has no secret: a test compares it with the list of what may be in it.',
  },
  'AWS::Logs::LogGroup': { CKV_AWS_158: OWN_KEY },
  'AWS::SecretsManager::Secret': { CKV_AWS_149: OWN_KEY },
  'AWS::SNS::Topic': {
    CKV_AWS_26:
      'Alarms say nothing secret, and CloudWatch cannot publish to a topic with the key that AWS has for it.',
  },
  'AWS::RDS::DBInstance': {
    CKV_AWS_118: 'Performance Insights shows waits and load; what the system below does costs extra.',
    CKV_AWS_161: 'Nodes have a password, which RDS rotates; they do not sign in by IAM.',
  },
}

/** Adds all stacks to an app, and the rules of cdk-nag. They need neither credentials nor the network. */
export function addStacks(app: App, settings: Settings): void {
  for (const [name, Kind] of Object.entries(STACKS)) new Kind(app, name, settings, { stackName: name })
  Tags.of(app).add('project', 'ratchet')
  acknowledgeCheckov(app, ACCEPTED)
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
}
