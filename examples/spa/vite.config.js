import { defineConfig } from 'vite'

export default defineConfig({
  server: { port: 5173, strictPort: true },
  // The client package lies outside of this folder, and has to use the same React.
  resolve: { dedupe: ['react', 'react-dom'] },
})
