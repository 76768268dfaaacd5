/**
 * Runs a recipe: others' packages are installed into its folder `client/`, apart from the repository's own, and never run
 * scripts of theirs.
 */
import { spawnSync } from "node:child_process"
import process from "node:process"
import { fileURLToPath } from "node:url"

/** A recipe by its folder. */
export const recipeIn = (url: string) => {
  const folder = fileURLToPath(new URL(".", url))

  const run = (
    where: string,
    command: string,
    args: ReadonlyArray<string>,
    env: Readonly<Record<string, string>> = {}
  ): void => {
    const { error, status } = spawnSync(command, args, {
      cwd: `${folder}${where}`,
      stdio: "inherit",
      env: { ...process.env, ...env }
    })
    if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${error?.message ?? status}`)
  }

  return {
    install: () =>
      run("client", "npm", [
        "install",
        "--no-package-lock",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error"
      ]),
    /** A script of the packages that are installed. */
    runScript: (path: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
      run("client", process.execPath, [`node_modules/${path}`, ...args], env),
    runRecipe: (env?: Readonly<Record<string, string>>) =>
      run("", process.execPath, ["--conditions=@capstan/source", "recipe.ts"], env)
  }
}
