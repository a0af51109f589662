import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { mockApi } from './mock/plugin';

/** Where `npm run dev` finds the API: a service on this machine, unless told otherwise. */
const service = process.env.STRONGROOM_URL ?? 'http://127.0.0.1:8080';

export default defineConfig(({ mode }) => ({
  plugins: [react(), ...(mode === 'mock' ? [mockApi()] : [])],
  server: {
    proxy: mode === 'mock' ? undefined : { '/api': { target: service } },
  },
  build: {
    // The size check reads the manifest to tell what the first page loads.
    manifest: true,
    // No inlined assets: the service's content security policy allows only what it serves itself.
    assetsInlineLimit: 0,
    rollupOptions: {
      output: {
        // React, Mantine and the query client change rarely; apart, they stay in the browser's cache.
        manualChunks: (id: string) =>
          /node_modules\/(react|react-dom|scheduler|react-router|@tanstack)\//.test(id) ? 'react' : undefined,
      },
    },
  },
  test: { include: ['src/**/*.test.ts'] },
}));
