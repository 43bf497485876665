export type { By, RegistryDeps } from './act.ts'
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
