import { aws_ec2 as ec2, aws_logs as logs, RemovalPolicy } from 'aws-cdk-lib'
import { Construct } from 'constructs'
import { acknowledge } from './acknowledge.ts'

/** The addresses of the network. */
export const CIDR = '10.84.0.0/16'

export interface NetworkProps {
  /** 0 puts nodes into public subnets: they have public addresses, and security groups alone keep others out. */
  natGateways: number
}

/** A VPC of two zones: public subnets, private ones for nodes unless there is no NAT, and isolated ones for stores. */
export class Network extends Construct {
  readonly vpc: ec2.Vpc
  /** Where nodes run. */
  readonly nodeSubnets: ec2.SubnetSelection
  /** Whether nodes reach the internet by NAT, and not by addresses of their own. */
  readonly hasNat: boolean
  readonly storeSubnets: ec2.SubnetSelection = { subnetType: ec2.SubnetType.PRIVATE_ISOLATED }
  /** What nodes have; stores let it in. */
  readonly nodes: ec2.SecurityGroup

  constructor(scope: Construct, id: string, props: NetworkProps) {
    super(scope, id)
    this.hasNat = props.natGateways > 0
    const subnets: ec2.SubnetConfiguration[] = [
      { name: 'public', subnetType: ec2.SubnetType.PUBLIC, cidrMask: 24 },
      { name: 'stores', subnetType: ec2.SubnetType.PRIVATE_ISOLATED, cidrMask: 24 },
    ]
    if (this.hasNat)
      subnets.push({ name: 'nodes', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS, cidrMask: 22 })
    this.nodeSubnets = {
      subnetType: this.hasNat ? ec2.SubnetType.PRIVATE_WITH_EGRESS : ec2.SubnetType.PUBLIC,
    }
    const flowLog = new logs.LogGroup(this, 'FlowLog', {
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    this.vpc = new ec2.Vpc(this, 'Vpc', {
      ipAddresses: ec2.IpAddresses.cidr(CIDR),
      maxAzs: 2,
      natGateways: props.natGateways,
      subnetConfiguration: subnets,
      // Layers of images come from S3: this way they cost nothing.
      gatewayEndpoints: { S3: { service: ec2.GatewayVpcEndpointAwsService.S3 } },
      flowLogs: {
        Rejected: {
          destination: ec2.FlowLogDestination.toCloudWatchLogs(flowLog),
          trafficType: ec2.FlowLogTrafficType.REJECT,
        },
      },
    })
    this.nodes = new ec2.SecurityGroup(this, 'Nodes', {
      vpc: this.vpc,
      description: 'Nodes of Ratchet',
      // Mail providers, the range API of breached passwords and clients of third parties are anywhere.
      allowAllOutbound: true,
    })
  }

  /** A security group of a store: only nodes reach it, and it reaches nobody. */
  storeGroup(id: string, description: string, port: number): ec2.SecurityGroup {
    const group = new ec2.SecurityGroup(this, id, { vpc: this.vpc, description, allowAllOutbound: false })
    group.addIngressRule(this.nodes, ec2.Port.tcp(port), description)
    return group
  }

  /** A security group that answers the whole internet on these ports, as a load balancer does. */
  publicGroup(id: string, ports: readonly number[]): ec2.SecurityGroup {
    const group = new ec2.SecurityGroup(this, id, {
      vpc: this.vpc,
      description: 'Load balancer',
      allowAllOutbound: false,
    })
    for (const port of ports) group.addIngressRule(ec2.Peer.anyIpv4(), ec2.Port.tcp(port), 'Everybody')
    acknowledge(group, { EC23: 'A load balancer that the internet uses: people sign in from anywhere.' })
    return group
  }
}
