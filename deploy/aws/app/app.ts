import { type App, Tags, Validations } from 'aws-cdk-lib'
import { AwsSolutionsChecks } from 'cdk-nag'
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

/** Adds all stacks to an app, and the rules of cdk-nag. They need neither credentials nor the network. */
export function addStacks(app: App, settings: Settings): void {
  for (const [name, Kind] of Object.entries(STACKS)) new Kind(app, name, settings, { stackName: name })
  Tags.of(app).add('project', 'ratchet')
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app))
}
