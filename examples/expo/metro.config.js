const { join } = require('node:path')
const { getDefaultConfig } = require('expo/metro-config')

const config = getDefaultConfig(__dirname)
// The client package lies outside of this folder, and has to use the same React. An app that installs it needs neither.
config.watchFolders = [join(__dirname, '../../packages/client')]
config.resolver.resolveRequest = (context, name, platform) =>
  context.resolveRequest(
    /^react(\/|$)/.test(name) ? { ...context, originModulePath: __filename } : context,
    name,
    platform,
  )
module.exports = config
