import {
  CfnOutput,
  Duration,
  aws_ecr as ecr,
  aws_iam as iam,
  RemovalPolicy,
  Stack,
  type StackProps,
} from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import { acknowledge } from '../parts/acknowledge.ts'
import type { Settings } from '../settings.ts'

const ISSUER = 'token.actions.githubusercontent.com'

/**
 * The subjects that GitHub may sign for the job that deploys. Repositories of before the summer of 2026 have names
 * alone in it; newer ones have ids behind the names, which nobody can take over with a name.
 */
export function subjects(github: NonNullable<Settings['github']>): string[] {
  const { owner, ownerId, repository, repositoryId, environment } = github
  if (ownerId && repositoryId)
    return [`repo:${owner}@${ownerId}/${repository}@${repositoryId}:environment:${environment}`]
  return [`repo:${owner}/${repository}:environment:${environment}`]
}

/** The registry of images, and the role that a workflow of GitHub takes to push and deploy. Deploy it first. */
export class DeliveryStack extends Stack {
  constructor(scope: Construct, id: string, settings: Settings, props?: StackProps) {
    super(scope, id, props)
    const repository = new ecr.Repository(this, 'Images', {
      repositoryName: settings.repositoryName,
      imageTagMutability: ecr.TagMutability.IMMUTABLE,
      imageScanOnPush: true,
      encryption: ecr.RepositoryEncryption.AES_256,
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [
        {
          description: 'Layers without a tag',
          tagStatus: ecr.TagStatus.UNTAGGED,
          maxImageAge: Duration.days(7),
        },
        { description: 'Enough to go back', tagStatus: ecr.TagStatus.ANY, maxImageCount: 60 },
      ],
    })
    new CfnOutput(this, 'Repository', { value: repository.repositoryUri })
    if (settings.github) this.deployer(repository, settings.github)
  }

  private deployer(repository: ecr.Repository, github: NonNullable<Settings['github']>): void {
    const providerArn =
      github.providerArn ??
      new iam.CfnOIDCProvider(this, 'GitHub', {
        url: `https://${ISSUER}`,
        clientIdList: ['sts.amazonaws.com'],
      }).attrArn
    const role = new iam.Role(this, 'Deployer', {
      description: 'Pushes images of Ratchet and deploys its stacks',
      maxSessionDuration: Duration.hours(1),
      assumedBy: new iam.WebIdentityPrincipal(providerArn, {
        StringEquals: {
          [`${ISSUER}:aud`]: 'sts.amazonaws.com',
          [`${ISSUER}:sub`]: subjects(github),
        },
      }),
    })
    repository.grantPullPush(role)
    acknowledge(role, {
      'IAM5[Resource::*]':
        'ecr:GetAuthorizationToken and the two actions on definitions of tasks know no resources.',
    })
    const arn = (service: string, resource: string, name: string, region?: string) => {
      const value = this.formatArn({
        service,
        resource,
        resourceName: name,
        ...(region !== undefined && { region }),
      })
      const shown = `arn:<AWS::Partition>:${service}:${region ?? '<AWS::Region>'}:<AWS::AccountId>:${resource}/${name}`
      acknowledge(role, {
        [`IAM5[Resource::${shown}]`]: 'The names begin with ours; their ends are not known.',
      })
      return value
    }
    const allow = (actions: string[], resource: string, conditions?: Record<string, unknown>) =>
      role.addToPolicy(
        new iam.PolicyStatement({ actions, resources: [resource], ...(conditions && { conditions }) }),
      )
    // The roles of `cdk bootstrap`, which do the rest.
    allow(['sts:AssumeRole'], arn('iam', 'role', 'cdk-hnb659fds-*', ''))
    allow(['cloudformation:DescribeStacks'], arn('cloudformation', 'stack', 'Ratchet*/*'))
    // Migrations before an update: a task with the new image.
    allow(['ecs:DescribeTaskDefinition', 'ecs:RegisterTaskDefinition'], '*')
    allow(['ecs:RunTask'], arn('ecs', 'task-definition', 'Ratchet*:*'))
    allow(['ecs:DescribeTasks'], arn('ecs', 'task', 'Ratchet*/*'))
    allow(['iam:PassRole'], arn('iam', 'role', 'ratchet/*', ''), {
      StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
    })
    new CfnOutput(this, 'DeployerRole', { value: role.roleArn })
  }
}
