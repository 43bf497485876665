#!/usr/bin/env bash
# Runs a command of `ratchet` as a task of ECS, and ends with its exit code: run-command.sh STACK IMAGE COMMAND…
# IMAGE is the image to run, or `-` for the deployed one. It needs the AWS CLI and jq.
# A stack that is not deployed yet is no fault: its nodes migrate when they start.
set -euo pipefail
stack=$1 image=$2
shift 2

if ! outputs=$(aws cloudformation describe-stacks --stack-name "$stack" --query 'Stacks[0].Outputs' --output json 2>&1); then
  grep -q 'does not exist' <<<"$outputs" || { echo "$outputs" >&2; exit 1; }
  echo "$stack is not deployed yet"
  exit 0
fi
output() { jq -r --arg name "$1" '.[] | select(.OutputKey == $name) | .OutputValue' <<<"$outputs"; }
task=$(output CommandTask)
[ -n "$task" ] || { echo "$stack has no task for commands" >&2; exit 1; }

if [ "$image" != - ]; then
  # A new revision with the new image. CloudFormation makes one of its own afterwards.
  task=$(aws ecs describe-task-definition --task-definition "$task" --query taskDefinition --output json |
    jq --arg image "$image" '.containerDefinitions[0].image = $image
      | del(.taskDefinitionArn, .revision, .status, .requiresAttributes, .compatibilities, .registeredAt, .registeredBy, .deregisteredAt)' |
    aws ecs register-task-definition --cli-input-json file:///dev/stdin --query taskDefinition.taskDefinitionArn --output text)
fi
cluster=$(output ClusterName)
network=$(jq -nc --arg subnets "$(output CommandSubnets)" --arg group "$(output CommandSecurityGroup)" \
  --arg public "$(output CommandPublicIp)" \
  '{awsvpcConfiguration: {subnets: ($subnets | split(",")), securityGroups: [$group], assignPublicIp: $public}}')
overrides=$(jq -nc '{containerOverrides: [{name: "server", command: (["node", "dist/cli/main.js"] + $ARGS.positional)}]}' --args "$@")
started=$(aws ecs run-task --cluster "$cluster" --launch-type FARGATE --task-definition "$task" \
  --network-configuration "$network" --overrides "$overrides" --query 'tasks[0].taskArn' --output text)
echo "waiting for $started"
aws ecs wait tasks-stopped --cluster "$cluster" --tasks "$started"
stopped=$(aws ecs describe-tasks --cluster "$cluster" --tasks "$started" --query 'tasks[0]' --output json)
jq -r '"\(.stoppedReason // "") exit code \(.containers[0].exitCode // "none"): the log group of the stack has its output"' <<<"$stopped"
exit "$(jq -r '.containers[0].exitCode // 1' <<<"$stopped")"
