import tailwindcss from "@tailwindcss/vite"
import react from "@vitejs/plugin-react"
import { defineConfig } from "vite"

/** The page is under a path that is known when it is mounted, so it names nothing but relatively. */
export default defineConfig({
  base: "./",
  plugins: [react(), tailwindcss()],
  build: {
    outDir: process.env["CAPSTAN_PAGE"] ?? "../page",
    emptyOutDir: true,
    target: "es2022",
    manifest: "manifest.json",
    // No script stands in the HTML and none is made of text: the policy allows neither.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    reportCompressedSize: false
  }
})
