process BARCODEMAE_IDENTIFY {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "${ workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container ?
        'https://depot.galaxyproject.org/singularity/barcodemae:0.1.0--pyhdfd78af_0':
        'quay.io/biocontainers/barcodemae:0.1.0--pyhdfd78af_0' }"

    input:
    tuple val(meta), path(queries)
    path library

    output:
    tuple val(meta), path("*.tsv"), emit: tsv
    tuple val(meta), path("*.html"), emit: html
    tuple val(meta), path("*_mqc.json"), emit: multiqc
    tuple val("${task.process}"), val('barcodemae'), eval("barcodemae --version | sed 's/barcodemae //'"), topic: versions, emit: versions_barcodemae

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    barcodemae identify \\
        $queries \\
        --library $library \\
        --output ${prefix}.tsv \\
        --summary ${prefix}.html \\
        --multiqc ${prefix}_mqc.json \\
        --threads $task.cpus \\
        $args
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.tsv ${prefix}.html ${prefix}_mqc.json
    """
}
