#!/bin/sh
# An agent of MKE 3: starts what was stopped and gives back restart policies. The cluster's agent also takes away what was
# added to the services of the others. Argument: host or cluster.
trap 'exit 0' TERM INT
while :; do
    case $1 in
    host)
        docker ps -a --filter name=^/ucp- --format '{{.Names}} {{.State}} {{.Label "com.docker.swarm.task.id"}}' |
            while read -r name state task; do
                if [ -n "$task" ]; then continue; fi
                case $(docker inspect --format '{{.HostConfig.RestartPolicy.Name}}' "$name") in
                unless-stopped) ;;
                *) docker update --restart unless-stopped "$name" ;;
                esac
                [ "$state" = running ] || docker start "$name"
            done
        ;;
    cluster)
        for service in ucp-manager-agent ucp-worker-agent-x; do
            docker service inspect --format '{{range .Spec.TaskTemplate.Placement.Constraints}}{{println .}}{{end}}' $service |
                while read -r constraint; do
                    case $constraint in
                    node.role*) ;;
                    ?*) docker service update --detach --constraint-rm "$constraint" $service ;;
                    esac
                done
        done
        ;;
    esac
    sleep 2 &
    wait $!
done
