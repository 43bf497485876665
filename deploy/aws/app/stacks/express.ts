import {
  CfnOutput,
  aws_ec2 as ec2,
  aws_ecs as ecs,
  aws_elasticloadbalancingv2 as elb,
  Stack,
  type StackProps,
} from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import { Alarms } from '../parts/alarms.ts'
import { commandTask, nodeCluster } from '../parts/commands.ts'
import { nodeLog } from '../parts/log.ts'
import { CIDR } from '../parts/network.ts'
import { PublicName } from '../parts/public-name.ts'
import { imagesFor, serviceRole } from '../parts/roles.ts'
import { addServer, READINESS, SERVER_PORT } from '../parts/server.ts'
import type { Settings } from '../settings.ts'

/** The load balancer that Express Mode makes is the only proxy. */
const PROXIES = 1

/**
 * ECS Express Mode: AWS makes load balancer, scaling and deployments from one resource. Nodes are in public subnets,
 * because the load balancer is made in theirs; that also saves NAT.
 */
export class ExpressStack extends Stack {
  constructor(scope: Construct, id: string, settings: Settings, props?: StackProps) {
    super(scope, id, props)
    const { size, network, server } = addServer(this, settings, { withNat: false })
    const name = new PublicName(this, 'PublicName', settings)
    const log = nodeLog(this)
    // The load balancer's group is not known before it is made, and nothing else of this network makes requests.
    network.nodes.addIngressRule(
      ec2.Peer.ipv4(CIDR),
      ec2.Port.tcp(SERVER_PORT),
      'Load balancer of Express Mode',
    )
    const cluster = nodeCluster(this, network, { enableFargateCapacityProviders: true })

    const execution = serviceRole(this, 'Execution', 'ecs-tasks.amazonaws.com')
    const images = imagesFor(this, settings, execution)
    log.grantWrite(execution)
    const infrastructure = serviceRole(this, 'Infrastructure', 'ecs.amazonaws.com', {
      'service-role/AmazonECSInfrastructureRoleforExpressGatewayServices':
        'Express Mode names this policy, and AWS changes it when Express Mode needs more.',
    })

    const node = serviceRole(this, 'Role', 'ecs-tasks.amazonaws.com')
    const service = new ecs.CfnExpressGatewayService(this, 'Service', {
      cluster: cluster.clusterName,
      cpu: String(size.cpu),
      memory: String(size.memory),
      executionRoleArn: execution.roleArn,
      infrastructureRoleArn: infrastructure.roleArn,
      taskRoleArn: node.roleArn,
      healthCheckPath: READINESS,
      primaryContainer: {
        image: images.repositoryUriForTagOrDigest(settings.imageTag),
        containerPort: SERVER_PORT,
        environment: Object.entries({ ...server.environment(PROXIES), ...server.secretsFor(node) }).map(
          ([name, value]) => ({ name, value }),
        ),
        awsLogsConfiguration: { logGroup: log.logGroupName, logStreamPrefix: 'node' },
      },
      networkConfiguration: {
        subnets: network.vpc.selectSubnets(network.nodeSubnets).subnetIds,
        securityGroups: [network.nodes.securityGroupId],
      },
      scalingTarget: {
        minTaskCount: size.minNodes,
        maxTaskCount: size.maxNodes,
        autoScalingMetric: 'AVERAGE_CPU',
        autoScalingTargetValue: 50,
      },
    })
    service.node.addDependency(server, execution, infrastructure, node)
    new elb.CfnListenerCertificate(this, 'Certificate', {
      listenerArn: service.attrEcsManagedResourceArnsIngressPathListenerArn,
      certificates: [{ certificateArn: name.certificate.certificateArn }],
    })
    name.leadToName(service.attrEndpoint)

    commandTask(this, cluster, network, { settings, server, log, size, proxies: PROXIES })
    new Alarms(this, 'Alarms', log, server, settings)
    new CfnOutput(this, 'Endpoint', { value: service.attrEndpoint })
    new CfnOutput(this, 'ListenerRule', {
      description: 'Has to know the domain: docs/operating/aws.md',
      value: service.attrEcsManagedResourceArnsIngressPathListenerRuleArn,
    })
  }
}
