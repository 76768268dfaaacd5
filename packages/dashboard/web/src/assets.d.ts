/** What the build takes in besides modules. */
declare module "*.css"
