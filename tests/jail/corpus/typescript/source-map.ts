export default (): unknown => 1;
//# sourceMappingURL=@JOB@
