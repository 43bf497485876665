import {
  aws_events as events,
  aws_iam as iam,
  aws_logs as logs,
  RemovalPolicy,
  aws_stepfunctions as sfn,
  aws_events_targets as targets,
  aws_stepfunctions_tasks as tasks,
} from 'aws-cdk-lib'
import { Construct } from 'constructs'
import { acknowledge } from './acknowledge.ts'
import type { Alarms } from './alarms.ts'
import type { Server } from './server.ts'

export interface RestartProps {
  /** The call that replaces nodes one after the other, such as `ecs` `updateService`. */
  service: string
  action: string
  parameters: Record<string, unknown>
  iamAction: string
  iamResource: string
}

/**
 * Replaces nodes when a store refuses the password that they have: it was rotated, and they cannot read secrets
 * themselves. It is also done at once after a rotation, if the account has a trail of CloudTrail.
 */
export class RestartOnRotation extends Construct {
  constructor(scope: Construct, id: string, alarms: Alarms, server: Server, props: RestartProps) {
    super(scope, id)
    const log = new logs.LogGroup(this, 'Log', {
      logGroupName: `/aws/vendedlogs/states/${this.node.addr.slice(-12)}`,
      retention: logs.RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    const machine = new sfn.StateMachine(this, 'Machine', {
      definitionBody: sfn.DefinitionBody.fromChainable(
        new tasks.CallAwsService(this, 'Replace', {
          service: props.service,
          action: props.action,
          parameters: props.parameters,
          iamResources: [props.iamResource],
          iamAction: props.iamAction,
          resultPath: sfn.JsonPath.DISCARD,
        }),
      ),
      tracingEnabled: true,
      logs: { destination: log, level: sfn.LogLevel.ALL, includeExecutionData: false },
    })
    acknowledge(machine, {
      'IAM5[Resource::*]': 'X-Ray and the delivery of logs know no resources.',
    })
    const target = new targets.SfnStateMachine(machine, {
      role: new iam.Role(this, 'Starter', { assumedBy: new iam.ServicePrincipal('events.amazonaws.com') }),
    })
    new events.Rule(this, 'PasswordRefused', {
      eventPattern: {
        source: ['aws.cloudwatch'],
        detailType: ['CloudWatch Alarm State Change'],
        resources: [alarms.passwordRefused.alarmArn],
        detail: { state: { value: ['ALARM'] } },
      },
      targets: [target],
    })
    new events.Rule(this, 'Rotated', {
      eventPattern: {
        source: ['aws.secretsmanager'],
        detailType: ['AWS Service Event via CloudTrail'],
        detail: {
          eventName: ['RotationSucceeded'],
          additionalEventData: { SecretId: [server.database.secret.secretArn] },
        },
      },
      targets: [target],
    })
  }
}
