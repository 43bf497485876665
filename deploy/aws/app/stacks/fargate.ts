import {
  CfnOutput,
  aws_cloudwatch as cloudwatch,
  Duration,
  aws_ec2 as ec2,
  aws_ecs as ecs,
  aws_elasticloadbalancingv2 as elb,
  aws_route53 as route53,
  aws_route53_targets as route53Targets,
  Stack,
  type StackProps,
} from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import { acknowledge, acknowledgeCheckov } from '../parts/acknowledge.ts'
import { Alarms } from '../parts/alarms.ts'
import { commandTask, nodeCluster } from '../parts/commands.ts'
import { nodeLog } from '../parts/log.ts'
import { addMetricsAgent, addMetricsAlarms, METRICS_PORT } from '../parts/metrics-agent.ts'
import type { Network } from '../parts/network.ts'
import { PublicName } from '../parts/public-name.ts'
import { addServer, READINESS, SERVER_PORT } from '../parts/server.ts'
import { serverTask } from '../parts/task.ts'
import type { Settings } from '../settings.ts'

/** The load balancer is the only proxy. */
const PROXIES = 1

/** ECS on Fargate behind a load balancer: nodes in private subnets, two at least, metrics, a task for commands. */
export class FargateStack extends Stack {
  constructor(scope: Construct, id: string, settings: Settings, props?: StackProps) {
    super(scope, id, props)
    const { size, network, server } = addServer(this, settings)
    const name = new PublicName(this, 'PublicName', settings)
    const log = nodeLog(this)
    const metricsLog = nodeLog(this, 'MetricsLog')

    const cluster = nodeCluster(this, network)
    const common = { settings, server, log, size, proxies: PROXIES }
    const task = serverTask(this, 'Node', {
      ...common,
      environment: { METRICS_PORT: String(METRICS_PORT) },
    })
    addMetricsAgent(task, settings.metricsAgentImage, metricsLog)
    const service = new ecs.FargateService(this, 'Service', {
      cluster,
      taskDefinition: task,
      vpcSubnets: network.nodeSubnets,
      securityGroups: [network.nodes],
      assignPublicIp: false,
      desiredCount: size.minNodes,
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { rollback: true },
      healthCheckGracePeriod: Duration.minutes(3),
      enableExecuteCommand: false,
      propagateTags: ecs.PropagatedTagSource.SERVICE,
    })
    // Nodes that start without their stores would only end again.
    service.node.addDependency(server)

    commandTask(this, cluster, network, common)

    const balancer = this.balancer(network, name, service)
    const scaling = service.autoScaleTaskCount({ minCapacity: size.minNodes, maxCapacity: size.maxNodes })
    // A sign-in takes 10 ms of a core: half is left for the minutes until a new node answers.
    scaling.scaleOnCpuUtilization('Processor', { targetUtilizationPercent: 50 })

    const alarms = new Alarms(this, 'Alarms', log, server, settings)
    addMetricsAlarms(alarms)
    alarms.add('NoAnswer', {
      metric: balancer.metrics.httpCodeElb(elb.HttpCodeElb.ELB_5XX_COUNT, {
        period: Duration.minutes(1),
        statistic: 'Sum',
      }),
      threshold: 5,
      periods: 2,
      what: 'The load balancer answers 5xx itself: no node takes requests (docs/operating/alerts.md#ratchetdown)',
    })
    alarms.add('TooFewNodes', {
      metric: new cloudwatch.Metric({
        namespace: 'ECS/ContainerInsights',
        metricName: 'RunningTaskCount',
        statistic: 'Minimum',
        period: Duration.minutes(5),
        dimensionsMap: { ClusterName: cluster.clusterName, ServiceName: service.serviceName },
      }),
      threshold: size.minNodes - 1,
      atMost: true,
      periods: 2,
      what: 'Fewer nodes run than should',
      missing: cloudwatch.TreatMissingData.BREACHING,
    })

    new CfnOutput(this, 'LoadBalancerName', { value: balancer.loadBalancerDnsName })
  }

  private balancer(network: Network, name: PublicName, service: ecs.FargateService) {
    const group = network.publicGroup('LoadBalancer', [80, 443])
    acknowledgeCheckov(group, {
      'AWS::EC2::SecurityGroup': { CKV_AWS_260: 'Port 80 only leads to https.' },
    })
    const balancer = new elb.ApplicationLoadBalancer(this, 'LoadBalancer', {
      vpc: network.vpc,
      internetFacing: true,
      securityGroup: group,
      deletionProtection: true,
      dropInvalidHeaderFields: true,
      xffHeaderProcessingMode: elb.XffHeaderProcessingMode.APPEND,
      // Below KEEP_ALIVE_SECONDS (620), so that a node never ends a connection that is about to be used.
      idleTimeout: Duration.seconds(60),
    })
    const noAccessLog =
      'An access log has whole URLs, and those of mailed links have secrets. The log of nodes has every request without them.'
    acknowledge(balancer, { ELB2: noAccessLog })
    acknowledgeCheckov(balancer, {
      'AWS::ElasticLoadBalancingV2::LoadBalancer': { CKV_AWS_91: noAccessLog },
    })
    group.addEgressRule(network.nodes, ec2.Port.tcp(SERVER_PORT), 'Nodes')
    network.nodes.addIngressRule(group, ec2.Port.tcp(SERVER_PORT), 'Load balancer')

    const targets = new elb.ApplicationTargetGroup(this, 'Targets', {
      vpc: network.vpc,
      port: SERVER_PORT,
      protocol: elb.ApplicationProtocol.HTTP,
      targetType: elb.TargetType.IP,
      // ECS waits for this before it sends SIGTERM; requests take seconds at most.
      deregistrationDelay: Duration.seconds(15),
      loadBalancingAlgorithmType: elb.TargetGroupLoadBalancingAlgorithmType.LEAST_OUTSTANDING_REQUESTS,
      healthCheck: {
        path: READINESS,
        healthyHttpCodes: '200',
        interval: Duration.seconds(10),
        timeout: Duration.seconds(5),
        healthyThresholdCount: 2,
        unhealthyThresholdCount: 3,
      },
    })
    service.attachToApplicationTargetGroup(targets)
    balancer.addListener('Https', {
      port: 443,
      certificates: [name.certificate],
      sslPolicy: elb.SslPolicy.RECOMMENDED_TLS,
      defaultTargetGroups: [targets],
      open: false,
    })
    balancer.addListener('Http', {
      port: 80,
      open: false,
      defaultAction: elb.ListenerAction.redirect({ protocol: 'HTTPS', port: '443', permanent: true }),
    })
    name.leadTo(route53.RecordTarget.fromAlias(new route53Targets.LoadBalancerTarget(balancer)))
    return balancer
  }
}
