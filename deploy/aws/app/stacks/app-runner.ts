import {
  aws_apprunner as apprunner,
  CfnOutput,
  Fn,
  aws_logs as logs,
  Stack,
  type StackProps,
} from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import { acknowledge, acknowledgeCheckov } from '../parts/acknowledge.ts'
import { Alarms } from '../parts/alarms.ts'
import { commandTask, nodeCluster } from '../parts/commands.ts'
import { nodeLog } from '../parts/log.ts'
import { imagesFor, serviceRole } from '../parts/roles.ts'
import { addServer, READINESS, SERVER_PORT } from '../parts/server.ts'
import type { Settings } from '../settings.ts'

/** App Runner's own proxy. */
const PROXIES = 1

/** App Runner, which AWS has closed to new customers: for accounts that have it. */
export class AppRunnerStack extends Stack {
  constructor(scope: Construct, id: string, settings: Settings, props?: StackProps) {
    super(scope, id, props)
    const { size, network, server } = addServer(this, settings)
    const access = serviceRole(this, 'Access', 'build.apprunner.amazonaws.com')
    const images = imagesFor(this, settings, access)
    const instance = serviceRole(this, 'Instance', 'tasks.apprunner.amazonaws.com')

    const connector = new apprunner.CfnVpcConnector(this, 'Connector', {
      subnets: network.vpc.selectSubnets(network.nodeSubnets).subnetIds,
      securityGroups: [network.nodes.securityGroupId],
    })
    const scaling = new apprunner.CfnAutoScalingConfiguration(this, 'Scaling', {
      minSize: size.minNodes,
      maxSize: size.maxNodes,
      // Requests at once on a node: sign-ins take a core for 10 ms each.
      maxConcurrency: 80,
    })
    const pairs = (values: Record<string, string>) =>
      Object.entries(values).map(([name, value]) => ({ name, value }))
    const service = new apprunner.CfnService(this, 'Service', {
      sourceConfiguration: {
        authenticationConfiguration: { accessRoleArn: access.roleArn },
        autoDeploymentsEnabled: false,
        imageRepository: {
          imageIdentifier: images.repositoryUriForTagOrDigest(settings.imageTag),
          imageRepositoryType: 'ECR',
          imageConfiguration: {
            port: String(SERVER_PORT),
            runtimeEnvironmentVariables: pairs({
              ...server.environment(PROXIES),
              ...server.secretsFor(instance),
            }),
          },
        },
      },
      instanceConfiguration: {
        cpu: String(size.cpu),
        memory: String(size.memory),
        instanceRoleArn: instance.roleArn,
      },
      autoScalingConfigurationArn: scaling.attrAutoScalingConfigurationArn,
      healthCheckConfiguration: {
        protocol: 'HTTP',
        path: READINESS,
        interval: 10,
        timeout: 5,
        healthyThreshold: 1,
        unhealthyThreshold: 3,
      },
      networkConfiguration: {
        egressConfiguration: { egressType: 'VPC', vpcConnectorArn: connector.attrVpcConnectorArn },
        ingressConfiguration: { isPubliclyAccessible: true },
      },
    })
    service.node.addDependency(server, access, instance)

    commandTask(this, nodeCluster(this, network), network, {
      settings,
      server,
      log: nodeLog(this, 'CommandLog'),
      size,
      proxies: PROXIES,
    })
    const { log, retention } = this.log(service)
    const alarms = new Alarms(this, 'Alarms', log, server, settings)
    // Filters need the group, which may not be there before.
    alarms.node.addDependency(retention)
    new CfnOutput(this, 'ServiceArn', {
      description: 'For `aws apprunner associate-custom-domain`, which CloudFormation cannot do',
      value: service.attrServiceArn,
    })
    new CfnOutput(this, 'Endpoint', { value: service.attrServiceUrl })
  }

  /** App Runner makes the group by itself, under a name with the service's id, and keeps lines for ever. */
  private log(service: apprunner.CfnService) {
    const name = Fn.select(1, Fn.split(':service', service.attrServiceArn))
    const logGroupName = Fn.join('', ['/aws/apprunner', name, '/application'])
    const retention = new logs.LogRetention(this, 'LogRetention', {
      logGroupName,
      retention: logs.RetentionDays.THREE_MONTHS,
    })
    const provider = this.node.children.find(
      (child) => child.node.id.startsWith('LogRetention') && child !== retention,
    )
    const ofCdk = 'The function of the CDK that sets the retention; it runs during deployments alone.'
    if (provider) {
      acknowledgeCheckov(provider, {
        'AWS::IAM::Policy': { CKV_AWS_111: ofCdk },
        'AWS::Lambda::Function': { CKV_AWS_115: ofCdk, CKV_AWS_117: ofCdk },
      })
      acknowledge(provider, {
        'IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole]': ofCdk,
        'IAM5[Resource::*]': ofCdk,
        L1: 'The CDK chooses the runtime.',
      })
    }
    return { log: logs.LogGroup.fromLogGroupName(this, 'Log', logGroupName), retention }
  }
}
