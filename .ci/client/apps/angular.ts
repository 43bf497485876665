// Compiles the components when they are used.
import '@angular/compiler'
import { type ApplicationConfig, Component } from '@angular/core'
import {
  type BootstrapContext,
  bootstrapApplication,
  provideClientHydration,
} from '@angular/platform-browser'
import { provideServerRendering, renderApplication } from '@angular/platform-server'
import type { AuthClient } from '@ratchet/client'
import { injectAuth, injectAuthClient, provideAuth } from '@ratchet/client/angular'

const Account = Component({
  selector: 'main',
  template: `
    @let state = auth();
    @switch (state.status) {
      @case ('loading') { <p>One moment</p> }
      @case ('signed_out') { <p>{{ state.reason ? 'Signed out: ' + state.reason : 'A visitor' }}</p> }
      @case ('signed_in') { <button (click)="signOut()">{{ state.user.email }}</button> }
    }
  `,
})(
  class {
    readonly auth = injectAuth()
    readonly signOut = injectAuthClient().signOut
  },
)

export async function render(client: AuthClient) {
  const config: ApplicationConfig = {
    providers: [provideAuth(client), provideServerRendering(), provideClientHydration()],
  }
  const bootstrap = (context: BootstrapContext) => bootstrapApplication(Account, config, context)
  const page = await renderApplication(bootstrap, { document: '<body><main></main></body>' })
  return /<body.*<\/body>/s.exec(page)?.[0] ?? ''
}

export async function mount(client: AuthClient, root: HTMLElement) {
  const hydration = root.firstChild ? [provideClientHydration()] : []
  const app = await bootstrapApplication(Account, { providers: [provideAuth(client), ...hydration] })
  return () => app.destroy()
}
