export type { By, RegistryDeps } from './act.ts'
export { blockClient, unblockClient } from './blocked-clients.ts'
export {
  addClientSecret,
  allowScopes,
  changeRegisteredClient,
  disableClient,
  enableClient,
  endClientSecrets,
  type Permission,
  registerClient,
  removeClient,
} from './registered-clients.ts'
export { changeRegisteredResource, registerResource, removeResource } from './registered-resources.ts'
