import { CfnOutput, aws_ecs as ecs } from 'aws-cdk-lib'
import type { Construct } from 'constructs'
import type { Network } from './network.ts'
import { serverTask, type TaskProps } from './task.ts'

/** A cluster of ECS; it costs nothing until tasks run in it. */
export const nodeCluster = (scope: Construct, network: Network, props: Partial<ecs.ClusterProps> = {}) =>
  new ecs.Cluster(scope, 'Cluster', {
    vpc: network.vpc,
    containerInsightsV2: ecs.ContainerInsights.ENABLED,
    ...props,
  })

/** A task that runs a command of `ratchet`, such as `migrate`, and the outputs that `aws ecs run-task` needs. */
export function commandTask(
  scope: Construct,
  cluster: ecs.ICluster,
  network: Network,
  props: Omit<TaskProps, 'command' | 'environment'>,
): void {
  const task = serverTask(scope, 'Command', { ...props, command: ['--help'] })
  const subnets = network.vpc.selectSubnets(network.nodeSubnets).subnetIds
  const outputs = {
    ClusterName: cluster.clusterName,
    CommandTask: task.family,
    CommandSubnets: subnets.join(','),
    CommandSecurityGroup: network.nodes.securityGroupId,
    CommandPublicIp: network.hasNat ? 'DISABLED' : 'ENABLED',
  }
  for (const [name, value] of Object.entries(outputs)) new CfnOutput(scope, name, { value })
}
