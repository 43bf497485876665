import { readFileSync } from 'node:fs'
import { App } from 'aws-cdk-lib'
import { addStacks } from '../app/app.ts'
import { readSettings, type Settings } from '../app/settings.ts'

// biome-ignore lint/suspicious/noExplicitAny: properties have the shape of each of a hundred types
type Properties = Record<string, any>
type Resource = { Type: string; Properties?: Properties; DeletionPolicy?: string }
type Template = { Resources: Record<string, Resource> }

export const root = new URL('../../../', import.meta.url)
export const text = (path: string) => readFileSync(new URL(path, root), 'utf8')
export const exampleSettings = readSettings(new URL('../settings.example.json', import.meta.url).pathname)

/** The stacks that run nodes. */
export const TARGETS = [
  'RatchetExpress',
  'RatchetFargate',
  'RatchetBeanstalk',
  'RatchetAppRunner',
  'RatchetLambda',
] as const
export type Target = (typeof TARGETS)[number]

/**
 * Synthesises all stacks.
 *
 * @throws Error when cdk-nag finds something that nobody has acknowledged
 */
export function synthesise(settings: Settings, more: (app: App) => void = () => {}) {
  const { context } = JSON.parse(text('deploy/aws/cdk.json'))
  const app = new App({ context, analyticsReporting: false })
  addStacks(app, settings)
  more(app)
  const assembly = app.synth()
  const template = (name: string): Template => assembly.getStackByName(name).template
  return { template }
}

/** The properties of all resources of a type. */
export const ofType = (template: Template, type: string) =>
  Object.values(template.Resources)
    .filter((resource) => resource.Type === type)
    .map(({ Properties }) => Properties ?? {})

/** The functions that run the image: the one for requests, and the one for the background work. */
export const functionsOf = (template: Template) =>
  ofType(template, 'AWS::Lambda::Function').filter(({ PackageType }) => PackageType === 'Image')

export interface NodeEnvironment {
  /** Variables that everybody sees who may read the stack. */
  plain: Record<string, unknown>
  /** Variables that are references to secrets. */
  secret: Record<string, unknown>
}

const byName = (pairs: { [key: string]: unknown }[], name: string, value: string) =>
  Object.fromEntries((pairs ?? []).map((pair) => [String(pair[name]), pair[value]]))

/** The environments of every container and function of the image in a stack. */
export function environments(template: Template, target: Target): NodeEnvironment[] {
  const found: NodeEnvironment[] = ofType(template, 'AWS::ECS::TaskDefinition').flatMap((task) =>
    task.ContainerDefinitions.filter(({ Name }: { Name: string }) => Name === 'server').map(
      (container: Properties) => ({
        plain: byName(container.Environment, 'Name', 'Value'),
        secret: byName(container.Secrets, 'Name', 'ValueFrom'),
      }),
    ),
  )
  if (target === 'RatchetExpress')
    for (const { PrimaryContainer } of ofType(template, 'AWS::ECS::ExpressGatewayService'))
      found.push({
        plain: byName(PrimaryContainer.Environment, 'Name', 'Value'),
        secret: byName(PrimaryContainer.Secrets, 'Name', 'ValueFrom'),
      })
  for (const { OptionSettings } of ofType(template, 'AWS::ElasticBeanstalk::Environment')) {
    const options = (namespace: string) =>
      byName(
        OptionSettings.filter(({ Namespace }: { Namespace: string }) => Namespace === namespace),
        'OptionName',
        'Value',
      )
    found.push({
      plain: options('aws:elasticbeanstalk:application:environment'),
      secret: options('aws:elasticbeanstalk:application:environmentsecrets'),
    })
  }
  for (const { SourceConfiguration } of ofType(template, 'AWS::AppRunner::Service')) {
    const { ImageConfiguration } = SourceConfiguration.ImageRepository
    found.push({
      plain: byName(ImageConfiguration.RuntimeEnvironmentVariables, 'Name', 'Value'),
      secret: byName(ImageConfiguration.RuntimeEnvironmentSecrets, 'Name', 'Value'),
    })
  }
  if (target === 'RatchetLambda') {
    for (const { Environment } of functionsOf(template))
      found.push({ plain: Environment.Variables, secret: {} })
  }
  return found.map(withCommand)
}

/** What SECRETS_COMMAND names are secrets too. */
function withCommand({ plain: { SECRETS_COMMAND, ...plain }, secret }: NodeEnvironment): NodeEnvironment {
  const names = JSON.stringify(SECRETS_COMMAND ?? '').matchAll(/ ([A-Z_]+)=/g)
  return { plain, secret: { ...secret, ...Object.fromEntries([...names].map(([, name]) => [name, true])) } }
}
