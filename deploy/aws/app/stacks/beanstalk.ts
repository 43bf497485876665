import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  aws_s3_assets as assets,
  aws_elasticbeanstalk as beanstalk,
  CfnOutput,
  aws_ec2 as ec2,
  Fn,
  aws_iam as iam,
  aws_logs as logs,
  Stack,
  type StackProps,
} from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import { acknowledge } from '../parts/acknowledge.ts'
import { Alarms } from '../parts/alarms.ts'
import { commandTask, nodeCluster } from '../parts/commands.ts'
import { nodeLog } from '../parts/log.ts'
import { PublicName } from '../parts/public-name.ts'
import { RestartOnRotation } from '../parts/restart.ts'
import { imagesFor, serviceRole } from '../parts/roles.ts'
import { addServer, READINESS, SERVER_PORT } from '../parts/server.ts'
import type { Settings } from '../settings.ts'

/** The load balancer, and nginx on each machine. */
const PROXIES = 2

/** Elastic Beanstalk with its Docker platform: machines of EC2 behind a load balancer, which AWS keeps up to date. */
export class BeanstalkStack extends Stack {
  constructor(scope: Construct, id: string, settings: Settings, props?: StackProps) {
    super(scope, id, props)
    const { size, network, server } = addServer(this, settings)
    const name = new PublicName(this, 'PublicName', settings)
    const balancer = network.publicGroup('LoadBalancer', [443])
    balancer.addEgressRule(network.nodes, HTTP, 'nginx of nodes')
    network.nodes.addIngressRule(balancer, HTTP, 'Load balancer')

    const machine = serviceRole(
      this,
      'Machine',
      'ec2.amazonaws.com',
      ofBeanstalk('AWSElasticBeanstalkWebTier'),
    )
    imagesFor(this, settings, machine)
    const service = serviceRole(
      this,
      'Service',
      'elasticbeanstalk.amazonaws.com',
      ofBeanstalk(
        'service-role/AWSElasticBeanstalkEnhancedHealth',
        'AWSElasticBeanstalkManagedUpdatesCustomerRolePolicy',
      ),
    )
    const profile = new iam.CfnInstanceProfile(this, 'Profile', { roles: [machine.roleName] })

    const application = new beanstalk.CfnApplication(this, 'Application', { description: 'Ratchet' })
    const bundle = this.bundle(imageName(settings))
    machine.addToPolicy(
      new iam.PolicyStatement({
        actions: ['s3:GetObject'],
        resources: [bundle.bucket.arnForObjects(bundle.s3ObjectKey)],
      }),
    )
    const version = new beanstalk.CfnApplicationVersion(this, 'Version', {
      applicationName: application.ref,
      sourceBundle: { s3Bucket: bundle.s3BucketName, s3Key: bundle.s3ObjectKey },
    })
    const subnets = (selection: Parameters<typeof network.vpc.selectSubnets>[0]) =>
      network.vpc.selectSubnets(selection).subnetIds.join(',')
    const options: Record<string, Record<string, string>> = {
      'aws:elasticbeanstalk:application:environment': server.environment(PROXIES),
      'aws:elasticbeanstalk:application:environmentsecrets': Object.fromEntries(
        Object.entries(server.secrets).map(([variable, secret]) => {
          secret.grantRead(machine)
          return [variable, secret.secretArn]
        }),
      ),
      'aws:elasticbeanstalk:environment': {
        EnvironmentType: 'LoadBalanced',
        LoadBalancerType: 'application',
        ServiceRole: service.roleArn,
      },
      'aws:elasticbeanstalk:environment:process:default': {
        Port: '80',
        Protocol: 'HTTP',
        HealthCheckPath: READINESS,
        MatcherHTTPCode: '200',
        HealthCheckInterval: '10',
        HealthCheckTimeout: '5',
        HealthyThresholdCount: '2',
        UnhealthyThresholdCount: '3',
        DeregistrationDelay: '15',
      },
      'aws:elbv2:listener:default': { ListenerEnabled: 'false' },
      'aws:elbv2:listener:443': {
        ListenerEnabled: 'true',
        Protocol: 'HTTPS',
        SSLCertificateArns: name.certificate.certificateArn,
        SSLPolicy: 'ELBSecurityPolicy-TLS13-1-2-2021-06',
      },
      'aws:elbv2:loadbalancer': {
        SecurityGroups: balancer.securityGroupId,
        ManagedSecurityGroup: balancer.securityGroupId,
        IdleTimeout: '60',
      },
      'aws:ec2:vpc': {
        VPCId: network.vpc.vpcId,
        Subnets: subnets(network.nodeSubnets),
        ELBSubnets: network.vpc.publicSubnets.map(({ subnetId }) => subnetId).join(','),
        ELBScheme: 'public',
        AssociatePublicIpAddress: 'false',
      },
      'aws:ec2:instances': { InstanceTypes: size.instance, SupportedArchitectures: 'arm64' },
      'aws:autoscaling:launchconfiguration': {
        IamInstanceProfile: profile.attrArn,
        SecurityGroups: network.nodes.securityGroupId,
        DisableDefaultEC2SecurityGroup: 'true',
        DisableIMDSv1: 'true',
        RootVolumeType: 'gp3',
      },
      'aws:autoscaling:asg': { MinSize: String(size.minNodes), MaxSize: String(size.maxNodes) },
      'aws:autoscaling:trigger': {
        MeasureName: 'CPUUtilization',
        Unit: 'Percent',
        Statistic: 'Average',
        UpperThreshold: '50',
        LowerThreshold: '20',
        Period: '1',
        BreachDuration: '2',
      },
      'aws:elasticbeanstalk:command': { DeploymentPolicy: 'Immutable' },
      'aws:autoscaling:updatepolicy:rollingupdate': {
        RollingUpdateEnabled: 'true',
        RollingUpdateType: 'Immutable',
      },
      'aws:elasticbeanstalk:healthreporting:system': { SystemType: 'enhanced' },
      'aws:elasticbeanstalk:managedactions': {
        ManagedActionsEnabled: 'true',
        PreferredStartTime: 'Sun:03:00',
        ServiceRoleForManagedUpdates: service.roleArn,
      },
      'aws:elasticbeanstalk:managedactions:platformupdate': { UpdateLevel: 'minor' },
      'aws:elasticbeanstalk:cloudwatch:logs': {
        StreamLogs: 'true',
        RetentionInDays: '90',
        DeleteOnTerminate: 'false',
      },
    }
    const environment = new beanstalk.CfnEnvironment(this, 'Environment', {
      applicationName: application.ref,
      versionLabel: version.ref,
      solutionStackName: settings.beanstalkPlatform,
      optionSettings: Object.entries(options).flatMap(([namespace, values]) =>
        Object.entries(values).map(([optionName, value]) => ({ namespace, optionName, value })),
      ),
    })
    acknowledge(environment, { EB4: 'The logs go to CloudWatch, where they end after 90 days.' })
    environment.node.addDependency(server, machine, service)
    name.leadToName(environment.attrEndpointUrl)

    // Beanstalk makes the group, with the retention above.
    const log = logs.LogGroup.fromLogGroupName(
      this,
      'Log',
      Fn.join('', [
        '/aws/elasticbeanstalk/',
        environment.ref,
        '/var/log/eb-docker/containers/eb-current-app/stdouterr.log',
      ]),
    )
    commandTask(this, nodeCluster(this, network), network, {
      settings,
      server,
      log: nodeLog(this, 'CommandLog'),
      size,
      proxies: PROXIES,
    })
    const alarms = new Alarms(this, 'Alarms', log, server, settings)
    // A container does not reach the role of its machine, whose metadata are one hop too far: Beanstalk reads secrets.
    new RestartOnRotation(this, 'Restart', alarms, server, {
      service: 'elasticbeanstalk',
      action: 'restartAppServer',
      parameters: { EnvironmentName: environment.ref },
      iamAction: 'elasticbeanstalk:RestartAppServer',
      iamResource: this.formatArn({
        service: 'elasticbeanstalk',
        resource: 'environment',
        resourceName: `${application.ref}/${environment.ref}`,
      }),
    })
    new CfnOutput(this, 'EnvironmentName', { value: environment.ref })
    new CfnOutput(this, 'Endpoint', { value: environment.attrEndpointUrl })
  }

  /** What Beanstalk unpacks on a machine: the name of the image, in a file that CloudFormation does not fill in. */
  private bundle(image: string): assets.Asset {
    const folder = mkdtempSync(join(tmpdir(), 'ratchet-'))
    const content = {
      AWSEBDockerrunVersion: '1',
      Image: { Name: image, Update: 'true' },
      Ports: [{ ContainerPort: SERVER_PORT }],
    }
    writeFileSync(join(folder, 'Dockerrun.aws.json'), JSON.stringify(content))
    const bundle = new assets.Asset(this, 'Bundle', { path: folder })
    rmSync(folder, { recursive: true })
    return bundle
  }
}

function imageName({ registry, repositoryName, imageTag }: Settings): string {
  return `${registry}/${repositoryName}${imageTag.startsWith('sha256:') ? '@' : ':'}${imageTag}`
}

const ofBeanstalk = (...policies: string[]) =>
  Object.fromEntries(
    policies.map((name) => [
      name,
      'Beanstalk names this policy, and AWS changes it when Beanstalk needs more.',
    ]),
  )

const HTTP = ec2.Port.tcp(80)
